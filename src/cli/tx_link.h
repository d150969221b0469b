// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/bench_links.h"
#include "wire/remoting/codes.h"

namespace halfmoon::cli {

/// One connection to a broker, one request at a time.
class TxLink {
 public:
  /// `address` is "host:port", "host" or "[ipv6]:port"; the port is 10911 where none is given. Errors: InvalidArgument (no address), Io (nobody there).
  static Result<TxLink> dial(const std::string& address);

  struct Reply {
    std::int32_t code = 0;      // 0: done
    std::string remark;
    std::string body;
  };
  using Fields = std::vector<std::pair<std::string, std::string>>;
  /// Waits up to 30 s. Errors: Io (the broker closed the connection, or did not answer), NotSupported (a broker that does not know the request).
  Result<Reply> ask(wire::RequestCode code, const Fields& fields);

 private:
  TxLink(std::unique_ptr<Links> links, std::string where) : links_(std::move(links)), where_(std::move(where)) {}

  std::unique_ptr<Links> links_;
  std::string where_;
  std::int32_t opaque_ = 0;
};

}  // namespace halfmoon::cli
