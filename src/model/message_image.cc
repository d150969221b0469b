// SPDX-License-Identifier: Apache-2.0
#include "model/message_image.h"

#include <cstring>

#include "base/cursor.h"

namespace halfmoon::model {
namespace {

constexpr std::size_t host_bytes(bool ipv6) { return ipv6 ? 20 : 8; }
constexpr std::size_t kFixedBytes = 91 - 16;  // all but hosts, body, topic, properties

class Cursor {
 public:
  explicit Cursor(std::byte* p) : p_(p) {}
  template <std::integral T>
  void put(T v) { store_be(p_, v); p_ += sizeof v; }
  void put(std::string_view text) {
    if (!text.empty()) std::memcpy(p_, text.data(), text.size());
    p_ += text.size();
  }
  void put(const HostAddress& host) {
    const std::size_t n = host.ipv6 ? 16 : 4;
    std::memcpy(p_, host.ip.data(), n);
    p_ += n;
    put(static_cast<std::int32_t>(host.port));
  }

 private:
  std::byte* p_;
};

/// Clears `possible` where no host can have such a port.
HostAddress read_host(Reader& in, bool ipv6, bool& possible) {
  HostAddress host;
  host.ipv6 = ipv6;
  const std::string_view ip = in.text(ipv6 ? 16 : 4);
  if (!ip.empty()) std::memcpy(host.ip.data(), ip.data(), ip.size());
  const auto port = in.be<std::int32_t>();
  possible = possible && port >= 0 && port <= UINT16_MAX;
  host.port = static_cast<std::uint16_t>(port);
  return host;
}

}  // namespace

std::size_t image_size(const MessageFields& f) {
  return kFixedBytes + host_bytes(f.born_host.ipv6) + host_bytes(f.store_host.ipv6) + f.body.size() + f.topic.size() +
         f.properties.size();
}

void encode_image(const MessageFields& f, MutableBytes out) {
  const std::int32_t flags = (f.sys_flag & ~(sys_flag::kBornHostV6 | sys_flag::kStoreHostV6)) |
                             (f.born_host.ipv6 ? sys_flag::kBornHostV6 : 0) | (f.store_host.ipv6 ? sys_flag::kStoreHostV6 : 0);
  Cursor c(out.data());
  c.put(static_cast<std::uint32_t>(out.size()));
  c.put(kImageMagicV1);
  c.put(f.body_crc & 0x7FFFFFFFu);
  c.put(f.queue_id);
  c.put(f.flag);
  c.put(f.queue_offset);
  c.put(f.position);
  c.put(flags);
  c.put(f.born_ms);
  c.put(f.born_host);
  c.put(f.store_ms);
  c.put(f.store_host);
  c.put(f.reconsume_times);
  c.put(f.prepared_position);
  c.put(static_cast<std::uint32_t>(f.body.size()));
  c.put(f.body);
  c.put(static_cast<std::uint8_t>(f.topic.size()));
  c.put(f.topic);
  c.put(static_cast<std::uint16_t>(f.properties.size()));
  c.put(f.properties);
}

std::optional<MessageFields> decode_image(Bytes image) {
  Reader in(image);
  MessageFields f;
  const auto total = in.be<std::uint32_t>();
  const auto magic = in.be<std::uint32_t>();
  f.body_crc = in.be<std::uint32_t>();
  bool possible = f.body_crc <= 0x7FFFFFFFu;
  f.queue_id = in.be<std::int32_t>();
  f.flag = in.be<std::int32_t>();
  f.queue_offset = in.be<std::int64_t>();
  f.position = in.be<std::int64_t>();
  f.sys_flag = in.be<std::int32_t>();
  f.born_ms = in.be<std::int64_t>();
  f.born_host = read_host(in, (f.sys_flag & sys_flag::kBornHostV6) != 0, possible);
  f.store_ms = in.be<std::int64_t>();
  f.store_host = read_host(in, (f.sys_flag & sys_flag::kStoreHostV6) != 0, possible);
  f.reconsume_times = in.be<std::int32_t>();
  f.prepared_position = in.be<std::int64_t>();
  f.body = in.text(in.be<std::uint32_t>());
  f.topic = in.text(in.be<std::uint8_t>());
  f.properties = in.text(in.be<std::uint16_t>());
  if (!in.ok() || in.left() != 0 || total != image.size() || magic != kImageMagicV1 || !possible) return std::nullopt;
  return f;
}

void set_image_queue_offset(MutableBytes image, std::int64_t queue_offset) { store_be(image.data() + 20, queue_offset); }
void set_image_position(MutableBytes image, std::int64_t position) { store_be(image.data() + 28, position); }

OffsetMessageId::OffsetMessageId(const HostAddress& store_host, std::int64_t position) {
  static constexpr auto kPairs = [] {
    std::array<std::array<char, 2>, 256> pairs{};
    for (std::size_t i = 0; i < pairs.size(); ++i) pairs[i] = {"0123456789ABCDEF"[i >> 4], "0123456789ABCDEF"[i & 15]};
    return pairs;
  }();
  std::byte raw[16 + 4 + 8];
  Cursor c(raw);
  c.put(store_host);
  c.put(position);
  const std::size_t n = (store_host.ipv6 ? 16u : 4u) + 12u;
  for (std::size_t i = 0; i < n; i++) std::memcpy(digits_.data() + 2 * i, kPairs[static_cast<std::size_t>(raw[i])].data(), 2);
  size_ = 2 * n;
}

std::string offset_message_id(const HostAddress& store_host, std::int64_t position) {
  return std::string(OffsetMessageId(store_host, position).view());
}

std::optional<std::int64_t> position_of_message_id(std::string_view id) {
  if (id.size() != 32 && id.size() != 56) return std::nullopt;
  std::uint64_t position = 0;
  for (std::size_t i = 0; i < id.size(); i++) {
    const char c = id[i];
    unsigned digit;
    if (c >= '0' && c <= '9') digit = static_cast<unsigned>(c - '0');
    else if (c >= 'A' && c <= 'F') digit = static_cast<unsigned>(c - 'A' + 10);
    else if (c >= 'a' && c <= 'f') digit = static_cast<unsigned>(c - 'a' + 10);
    else return std::nullopt;
    if (i >= id.size() - 16) position = position << 4 | digit;
  }
  return static_cast<std::int64_t>(position);
}

}  // namespace halfmoon::model
