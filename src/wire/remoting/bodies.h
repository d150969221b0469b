// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every request and response body, for those who handle them all; each subject has its own header.
#include "wire/remoting/group_bodies.h"
#include "wire/remoting/heartbeat.h"
#include "wire/remoting/queue_bodies.h"
#include "wire/remoting/route_bodies.h"
#include "wire/remoting/topic_bodies.h"
#include "wire/remoting/transaction_bodies.h"
