// SPDX-License-Identifier: Apache-2.0

// Package placeholder stands for what a reader of the articles replaces by hand: the endpoint, a topic, a group.
package placeholder

import "os"

// Of gives the environment variable's value, or what the article itself says.
func Of(variable, article string) string {
	if value := os.Getenv(variable); value != "" {
		return value
	}
	return article
}
