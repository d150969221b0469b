// SPDX-License-Identifier: Apache-2.0
#include "server/broker_process.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "runtime/system_clock.h"
#include "storage/inspect.h"
#include "storage/posix_disk.h"

namespace halfmoon::server {
namespace {

class BrokerProcessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "halfmoon-process-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  Settings settings(const char* flush = "SYNC_FLUSH") const {
    Settings s;
    s.bind_address = "127.0.0.1";
    s.listen_port = s.namesrv_listen_port = 0;
    s.store_path = root_ / "store";
    s.flush_disk_type = flush;
    s.segment_bytes = 16 << 20;
    s.tail_buffer_bytes = 32 << 20;
    return s;
  }
  /// The text of the answer to one JSON request.
  static std::string ask(std::uint16_t port, const std::string& header) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::string answer;
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
      std::string frame(8, '\0');
      store_be(frame.data(), static_cast<std::uint32_t>(4 + header.size()));
      store_be(frame.data() + 4, static_cast<std::uint32_t>(header.size()));
      frame += header;
      EXPECT_EQ(::send(fd, frame.data(), frame.size(), MSG_NOSIGNAL), static_cast<ssize_t>(frame.size()));
      char buffer[65536];
      std::size_t wanted = 4;
      while (answer.size() < wanted) {
        const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
        if (n <= 0) break;
        answer.append(buffer, static_cast<std::size_t>(n));
        if (answer.size() >= 4) wanted = 4 + load_be<std::uint32_t>(answer.data());
      }
    }
    ::close(fd);
    return answer;
  }
  static std::string create_topic(const std::string& name) {
    return R"({"code":17,"flag":0,"language":"JAVA","opaque":1,"version":401,"extFields":{"topic":")" + name +
           R"(","defaultTopic":"TBW102","readQueueNums":"4","writeQueueNums":"4","perm":"6","topicFilterType":"SINGLE_TAG","topicSysFlag":"0","order":"false"}})";
  }
  static std::string route_of(const std::string& name) {
    return R"({"code":105,"flag":0,"language":"JAVA","opaque":2,"version":401,"extFields":{"topic":")" + name + R"("}})";
  }
  std::filesystem::path root_;
};

TEST_F(BrokerProcessTest, WhatItStoredIsThereAfterAnOrderlyEnd) {
  for (const char* flush : {"SYNC_FLUSH", "ASYNC_FLUSH"}) {
    std::filesystem::remove_all(root_ / "store");
    {
      BrokerProcess process(settings(flush));
      const auto started = process.start();
      ASSERT_TRUE(started.ok()) << started.error().text;
      EXPECT_TRUE(started->new_store);
      EXPECT_NE(ask(started->broker_port, create_topic("kept")).find("\"code\":0"), std::string::npos) << flush;
      EXPECT_NE(ask(started->name_server_port, route_of("kept")).find("broker-a"), std::string::npos);
      EXPECT_TRUE(process.stop());
    }
    BrokerProcess again(settings(flush));
    const auto started = again.start();
    ASSERT_TRUE(started.ok()) << started.error().text;
    EXPECT_FALSE(started->new_store);
    EXPECT_GT(started->recovered.snapshot, 0) << "the last snapshot is used";
    EXPECT_EQ(started->recovered.report.records, 0) << "and holds everything";
    EXPECT_NE(ask(started->name_server_port, route_of("kept")).find("broker-a"), std::string::npos);
    EXPECT_TRUE(again.stop());
    const auto disk = storage::open_posix_disk_read_only(root_ / "store");
    ASSERT_TRUE(disk.ok());
    const auto report = storage::verify_log(**disk, {});
    ASSERT_TRUE(report.ok());
    EXPECT_TRUE(report->damage.empty());
  }
}

TEST_F(BrokerProcessTest, ASecondProcessOnTheSameDirectoryIsRefused) {
  BrokerProcess first(settings());
  ASSERT_TRUE(first.start().ok());
  BrokerProcess second(settings());
  const auto started = second.start();
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code, ErrorCode::Locked) << started.error().text;
  EXPECT_TRUE(first.stop());
}

TEST_F(BrokerProcessTest, ATakenPortLeavesNoDirectoryBehind) {
  BrokerProcess first(settings());
  const auto started = first.start();
  ASSERT_TRUE(started.ok());
  Settings other = settings();
  other.store_path = root_ / "other";
  other.listen_port = started->broker_port;
  BrokerProcess second(other);
  const auto refused = second.start();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::AddressInUse);
  EXPECT_NE(refused.error().text.find("listenPort="), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(root_ / "other"));
  EXPECT_TRUE(first.stop());
}

TEST_F(BrokerProcessTest, AForeignDirectoryIsRefusedUntouched) {
  Settings s = settings();
  std::filesystem::create_directory(s.store_path);
  std::ofstream(s.store_path + "/letter.txt") << "dear";
  BrokerProcess process(s);
  const auto started = process.start();
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code, ErrorCode::InvalidArgument) << started.error().text;
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(s.store_path), {}), 1);
}

/// Retention has deleted the log's beginning, and the snapshots that stood for it are gone.
TEST_F(BrokerProcessTest, ALogWithoutItsBeginningAndWithoutASnapshotIsRefused) {
  {
    const auto disk = storage::open_posix_disk(settings().store_path);
    ASSERT_TRUE(disk.ok());
    runtime::SystemRandom random;
    const auto opened = storage::Log::open(**disk, random, {.segment_bytes = 64 << 10, .first_segment_bytes = 64 << 10, .ring_bytes = 1 << 20});
    ASSERT_TRUE(opened.ok());
    storage::Log& log = **opened;
    ASSERT_TRUE(log.recover(0, [](const storage::RecordView&, std::int64_t) { return Status(Done{}); }).ok());
    while (log.segments().size() < 3) {
      ASSERT_TRUE(log.reserve(storage::RecordType::Message, 8000).ok());
      log.finish();
      log.close_batch(1);
    }
    ASSERT_TRUE(log.flush().ok());
    ASSERT_TRUE(log.drop_before(log.segments()[1].first).ok());
  }
  BrokerProcess process(settings());
  const auto started = process.start();
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code, ErrorCode::Corrupt);
  EXPECT_NE(started.error().text.find("restore a snapshot"), std::string::npos) << started.error().text;
}

TEST_F(BrokerProcessTest, AProcessThatIsNotStoppedIsRecoveredFromItsLog) {
  {
    BrokerProcess process(settings());
    const auto started = process.start();
    ASSERT_TRUE(started.ok());
    EXPECT_NE(ask(started->broker_port, create_topic("kept")).find("\"code\":0"), std::string::npos);
  }
  BrokerProcess again(settings());
  const auto started = again.start();
  ASSERT_TRUE(started.ok()) << started.error().text;
  EXPECT_NE(ask(started->name_server_port, route_of("kept")).find("broker-a"), std::string::npos);
  EXPECT_TRUE(again.stop());
}

}  // namespace
}  // namespace halfmoon::server
