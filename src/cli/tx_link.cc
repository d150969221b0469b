// SPDX-License-Identifier: Apache-2.0
#include "cli/tx_link.h"

#include <charconv>
#include <chrono>
#include <optional>

#include "wire/remoting/frame_writer.h"

namespace halfmoon::cli {
namespace {

constexpr std::uint16_t kDefaultPort = 10911;
constexpr int kAnswerTimeoutMs = 30000;

struct Place {
  std::string host;
  std::uint16_t port = kDefaultPort;
};

std::optional<Place> parse_place(std::string_view address) {
  Place place;
  std::size_t colon = address.rfind(':');
  if (address.starts_with('[')) {
    const std::size_t bracket = address.find(']');
    if (bracket == std::string_view::npos) return std::nullopt;
    place.host = address.substr(1, bracket - 1);
    colon = bracket + 1 == address.size() ? std::string_view::npos : bracket + 1;
  } else if (colon != std::string_view::npos && address.find(':') != colon) {
    place.host = address;  // an IPv6 literal without brackets
    colon = std::string_view::npos;
  } else {
    place.host = address.substr(0, colon);
  }
  if (place.host.empty()) return std::nullopt;
  if (colon == std::string_view::npos) return place;
  const char* const end = address.data() + address.size();
  const auto [stop, error] = std::from_chars(address.data() + colon + 1, end, place.port);
  if (error != std::errc() || stop != end || place.port == 0) return std::nullopt;
  return place;
}

/// Keeps the one answer that is waited for.
struct OneAnswer final : AnswerSink {
  std::int32_t opaque = 0;
  std::optional<TxLink::Reply> reply;
  void on_arrival() override {}
  void on_answer(std::size_t, const Answer& answer) override {
    if (answer.opaque == opaque) reply = TxLink::Reply{answer.code, answer.text("remark"), std::string(as_text(answer.body))};
  }
};

}  // namespace

Result<TxLink> TxLink::dial(const std::string& address) {
  const auto place = parse_place(address);
  if (!place) return Error{ErrorCode::InvalidArgument, "'" + address + "' is no address; write --broker HOST:PORT, for example --broker 127.0.0.1:10911"};
  HM_TRY(auto, links, Links::dial(place->host, place->port, 1));
  return TxLink(std::move(links), address);
}

Result<TxLink::Reply> TxLink::ask(wire::RequestCode code, const Fields& fields) {
  OneAnswer sink;
  sink.opaque = ++opaque_;
  wire::FrameWriter frame(links_->out(0), wire::request(wire::SerializeType::Json, sink.opaque, code));
  for (const auto& [name, value] : fields) frame.text(name, value);
  frame.finish();
  HM_TRY_STATUS(links_->flush());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kAnswerTimeoutMs);
  while (!sink.reply) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0) return Error{ErrorCode::Io, "the broker at " + where_ + " did not answer within 30 s; what was asked for may have happened all the same: look with `halfmoon tx show`"};
    HM_TRY_STATUS(links_->poll(std::chrono::milliseconds(left), sink));
  }
  if (sink.reply->code == static_cast<std::int32_t>(wire::ResponseCode::RequestCodeNotSupported))
    return Error{ErrorCode::NotSupported, where_ + " does not know this request: it is not a Halfmoon broker, or an older one"};
  return *std::move(sink.reply);
}

}  // namespace halfmoon::cli
