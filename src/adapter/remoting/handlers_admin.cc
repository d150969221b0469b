// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <map>

#include "adapter/remoting/handlers.h"
#include "adapter/remoting/translate.h"
#include "wire/remoting/bodies.h"

namespace halfmoon::adapter {
namespace {

/// Values of code 28 that tools read as numbers and do not forgive to be absent. They are true here: there are no such thread pools, so
/// nothing waits in them.
constexpr std::array<std::string_view, 15> kAlwaysZero = {"sendThreadPoolQueueSize",
                                                          "pullThreadPoolQueueSize",
                                                          "queryThreadPoolQueueSize",
                                                          "ackThreadPoolQueueSize",
                                                          "litePullThreadPoolQueueSize",
                                                          "EndTransactionQueueSize",
                                                          "sendThreadPoolQueueHeadWaitTimeMills",
                                                          "pullThreadPoolQueueHeadWaitTimeMills",
                                                          "queryThreadPoolQueueHeadWaitTimeMills",
                                                          "litePullThreadPoolQueueHeadWaitTimeMills",
                                                          "ackThreadPoolQueueHeadWaitTimeMills",
                                                          "pageCacheLockTimeMills",
                                                          "dispatchBehindBytes",
                                                          "startAcceptSendRequestTimeStamp",
                                                          "remainHowManyDataToCommit"};

}  // namespace

CoreStep broker_config(const Request&, Ticket ticket) {
  const auto& config = ticket.channel().context().options.config;
  ticket.answer([values = config ? config() : NamedValues()](const Ticket& to, std::string& out) {
    wire::FrameWriter frame(out, to.start());
    frame.text("version", data_version_text({}));
    frame.begin_body();
    wire::append_properties_text(out, values);
    frame.finish();
  });
  return {};
}

CoreStep runtime_info(const Request&, Ticket ticket) {
  return [ticket = std::move(ticket)](Turn& turn) mutable {
    std::map<std::string, std::string> table;
    for (const std::string_view name : kAlwaysZero) table.emplace(name, "0");
    table["brokerActive"] = "true";
    table["brokerVersion"] = std::to_string(turn.context.options.version);
    table["brokerVersionDesc"] = "V5_3_3";
    if (turn.context.options.runtime_info) {
      for (auto& [name, value] : turn.context.options.runtime_info()) table.insert_or_assign(name, std::move(value));
    }
    answer_body(ticket, [values = wire::TextMap(table.begin(), table.end())](std::string& out) { wire::append_kv_table(out, values); });
  };
}

}  // namespace halfmoon::adapter
