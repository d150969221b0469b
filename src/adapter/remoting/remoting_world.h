// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "adapter/remoting/remoting_fixture.h"
#include "nameserver/api.h"

namespace halfmoon::adapter::testing {

/// For tests only: the remoting protocol with a fake broker behind it and as many connections as a test opens. `NameServer` is the tests'
/// to choose: this module may not include the real one outside of a test file.
template <class NameServer>
class RemotingWorld : public ::testing::Test {
 protected:
  struct Client {
    std::shared_ptr<FakeConnection> connection;
    std::unique_ptr<runtime::Session> session;
    runtime::Session::Consumed last;

    void feed(const std::string& bytes) { last = session->on_data(as_bytes(bytes)); }
    /// What was written since the last look.
    std::vector<Answer> answers() {
      connection->run_posted();
      return parse_answers(std::exchange(connection->written, {}));
    }
    /// Sends one request and gives its one answer.
    Answer ask(std::int32_t code, const Ext& ext, std::string_view body = {}, wire::SerializeType type = wire::SerializeType::Json) {
      feed(frame(code, 7, ext, body, type));
      auto all = answers();
      EXPECT_EQ(all.size(), 1u) << "code " << code;
      if (all.empty()) return {};
      EXPECT_EQ(all.front().opaque, 7);
      EXPECT_EQ(all.front().flag & wire::kFlagResponse, wire::kFlagResponse);
      return all.front();
    }
  };

  RemotingWorld() { remoting.serve({broker, broker, broker, broker, broker, broker, broker}); }

  Client connect() {
    Client client;
    client.connection = std::make_shared<FakeConnection>();
    client.connection->number = ++connections;
    client.session = remoting.broker_sessions()(client.connection);
    return client;
  }
  void inside(auto&& f) { monitor.enter([&](Now now) { f(now); }); }

  FakeClock clock;
  int turns = 0;
  runtime::Monitor monitor{clock, {[this](Now) { ++turns; }, [] {}}};
  NameServer name_server;
  FakeBroker broker;
  RemotingOptions options{.broker_name = "b1", .cluster = "c1", .advertised_host = {}, .region = "R1", .config = {}, .runtime_info = {}};
  Remoting remoting{monitor, name_server, options};
  std::uint64_t connections = 0;
};

}  // namespace halfmoon::adapter::testing
