# SPDX-License-Identifier: Apache-2.0
# The module graph as data: module -> modules it may include. Configuring fails when a module links an edge that is not
# here, and tests/house/check_includes.py reads the same lines against the #include lines themselves.
# "broker/api.h" in the third column means: only the port headers of that module (api.h), nothing else in it.
set(HALFMOON_LAYERS
  "base:"
  "model:base"
  "storage:base model"
  "broker:base model storage"
  "nameserver:base model"
  "wire/remoting:base"
  "runtime:base"
  "adapter/remoting:base model runtime wire/remoting broker/api.h nameserver/api.h"
  "server:base model storage broker nameserver runtime adapter/remoting"
  "cli:base model storage wire/remoting server"
  "testkit:base model storage broker nameserver wire/remoting runtime adapter/remoting"
)
