// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/pull_answer.h"

#include <span>
#include <string_view>

#include "adapter/remoting/context.h"

namespace halfmoon::adapter {
namespace {

using wire::ResponseCode;

struct Verdict {
  ResponseCode code;
  std::string_view remark;  // RocketMQ's name of the store's status
};

Verdict verdict_of(const broker::PullResult& result) {
  switch (result.status) {
    case broker::PullStatus::Found: return {ResponseCode::Success, "FOUND"};
    case broker::PullStatus::NoNewMessage:
      return {ResponseCode::PullNotFound, result.max_offset == 0 ? "NO_MESSAGE_IN_QUEUE" : "OFFSET_OVERFLOW_ONE"};
    case broker::PullStatus::NoMatch: return {ResponseCode::PullRetryImmediately, "NO_MATCHED_MESSAGE"};
    case broker::PullStatus::OffsetMoved:
      if (result.next_offset == result.min_offset) return {ResponseCode::PullOffsetMoved, "OFFSET_TOO_SMALL"};
      if (result.next_offset == result.max_offset) return {ResponseCode::PullOffsetMoved, "OFFSET_OVERFLOW_BADLY"};
      return {ResponseCode::PullOffsetMoved, "OFFSET_RESET"};
  }
  return {ResponseCode::SystemError, ""};
}

/// Appends one frame with the messages of `extents`. Gives how many could be read: fewer mean that nothing was appended.
struct Written {
  std::size_t messages = 0;
  Error error;
};
Written write_frame(const Ticket& ticket, const broker::PullResult& result, Verdict verdict, std::int64_t next_offset,
                    std::span<const broker::Extent> extents, std::string& out) {
  wire::FrameWriter frame(out, ticket.start(verdict.code, verdict.remark));
  frame.number("suggestWhichBrokerId", 0);
  frame.number("nextBeginOffset", next_offset);
  frame.number("minOffset", result.min_offset);
  frame.number("maxOffset", result.max_offset);
  frame.number("topicSysFlag", result.topic_sys_flag);
  frame.number("groupSysFlag", result.group_sys_flag);
  frame.begin_body();
  SharedBodies& shared = ticket.channel().shared_bodies();
  if (auto body = shared.find(extents)) {
    frame.finish(body->size());
    ticket.channel().send_shared(std::move(body));
    return {extents.size(), {}};
  }
  const std::size_t begin = out.size();
  for (std::size_t i = 0; i < extents.size(); ++i) {
    // An unfinished frame is cut off by its destructor.
    if (auto status = ticket.channel().reader().render(extents[i], out); !status.ok()) return {i, std::move(status).error()};
  }
  frame.finish();
  shared.made(extents, std::string_view(out).substr(begin));
  return {extents.size(), {}};
}

}  // namespace

bool write_pull_answer(const Ticket& ticket, const Result<broker::PullResult>& result, std::string& out) {
  if (ticket.one_way()) return true;
  if (!result.ok()) {
    wire::append_frame(out, ticket.start(to_response_code(result.error().code), result.error().text));
    return true;
  }
  const std::span<const broker::Extent> all(result->extents);
  const Written first = write_frame(ticket, *result, verdict_of(*result), result->next_offset, all, out);
  if (first.messages == all.size()) return true;
  if (first.messages == 0 && first.error.code == ErrorCode::Busy) return false;
  const std::int64_t unread = all[first.messages].queue_offset;
  if (first.messages > 0) {
    const Written again = write_frame(ticket, *result, verdict_of(*result), unread, all.first(first.messages), out);
    if (again.messages < first.messages) return false;   // what was here has gone meanwhile, and is read once more
  } else if (first.error.code == ErrorCode::NotFound) {
    // Retention took it between the core's answer and our reading: the next pull is told where the queue begins now.
    write_frame(ticket, *result, {ResponseCode::PullRetryImmediately, "MESSAGE_WAS_REMOVING"}, unread, {}, out);
  } else {
    wire::append_frame(out, ticket.start(to_response_code(first.error.code), first.error.text));
  }
  return true;
}

}  // namespace halfmoon::adapter
