// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "wire/remoting/json_cursor.h"
#include "wire/remoting/topic_bodies.h"

namespace halfmoon::wire {

// Readers of values that occur in several bodies. A null is the default; mistakes show in the cursor.

DataVersion read_data_version(JsonCursor& cursor);
/// An object whose values are scalars.
TextMap read_text_map(JsonCursor& cursor);
TopicConfig read_topic_config(JsonCursor& cursor);

}  // namespace halfmoon::wire
