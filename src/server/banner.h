// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "server/broker_process.h"
#include "server/settings.h"

namespace halfmoon::server {

/// The one screen that a start prints: what listens where, where the data is, what an acknowledgement means, what to try next.
std::string banner(const Settings& settings, const BrokerProcess::Started& started, const std::string& program, double start_ms);

}  // namespace halfmoon::server
