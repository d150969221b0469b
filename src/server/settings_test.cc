// SPDX-License-Identifier: Apache-2.0
#include "server/settings.h"

#include <gtest/gtest.h>

#include <set>

#include "server/known_keys.h"

namespace halfmoon::server {
namespace {

std::string listed(std::string_view text) {
  const auto properties = parse_properties(text);
  if (!properties.ok()) return "error: " + properties.error().text;
  std::string out;
  for (const Property& p : *properties) out += std::to_string(p.line) + "[" + p.key + "]=[" + p.value + "]\n";
  return out;
}

TEST(PropertiesTest, ReadsWhatJavaReads) {
  EXPECT_EQ(listed("a=1\nb = 2\nc: 3\nd 4\n  e\t=\t5  \n"), "1[a]=[1]\n2[b]=[2]\n3[c]=[3]\n4[d]=[4]\n5[e]=[5]\n");
  EXPECT_EQ(listed("# comment\n! comment\n\n   # another\na=1 # not a comment\r\nb=2\r"), "5[a]=[1 # not a comment]\n6[b]=[2]\n");
  EXPECT_EQ(listed("a = one \\\n    two\\\n three\nb=2"), "1[a]=[one twothree]\n4[b]=[2]\n");
  EXPECT_EQ(listed("a=x\\\\\nb=\\u4e2d\\u6587 \\ud83c\\udf19\nk\\=ey=v\\tw"), "1[a]=[x\\]\n2[b]=[中文 🌙]\n3[k=ey]=[v\tw]\n");
  EXPECT_EQ(listed("empty=\nalone\n=nokey"), "1[empty]=[]\n2[alone]=[]\n");
  EXPECT_EQ(listed("\xef\xbb\xbf" "a=1"), "1[a]=[1]\n");
  EXPECT_EQ(listed("a=1\nb=\\u12"), "error: line 2: \\u needs four hexadecimal digits; write \\\\ for a backslash");
  EXPECT_EQ(listed("a=b\\"), "1[a]=[b]\n");
}

LoadedSettings from_file(std::string_view text) {
  SettingSources sources;
  sources.file_name = "broker.conf";
  sources.file = *parse_properties(text);
  return load_settings(sources);
}

Finding only(const LoadedSettings& loaded) {
  EXPECT_EQ(loaded.findings.size(), 1u);
  return loaded.findings.empty() ? Finding{} : loaded.findings[0];
}

TEST(SettingsTest, TheSampleOfEveryBlogPost) {
  const LoadedSettings loaded = from_file(
      "brokerClusterName = DefaultCluster\nbrokerName = broker-x\nbrokerId = 0\ndeleteWhen = 04\nfileReservedTime = 48\n"
      "brokerRole = ASYNC_MASTER\nflushDiskType = ASYNC_FLUSH\nautoCreateTopicEnable=false\n");
  EXPECT_TRUE(loaded.usable());
  EXPECT_EQ(loaded.settings.broker_name, "broker-x");
  EXPECT_EQ(loaded.settings.file_reserved_hours, 48);
  EXPECT_FALSE(loaded.settings.durable());
  EXPECT_FALSE(loaded.settings.auto_create_topics);
  EXPECT_EQ(loaded.findings[3].severity, Severity::NoEffect);  // deleteWhen
}

TEST(SettingsTest, TheTransactionProfileGivesWhatIsNotSetItself) {
  const LoadedSettings rocketmq = from_file("transactionCheckProfile=rocketmq");
  EXPECT_EQ(rocketmq.settings.transaction_timeout_ms, 6000);
  EXPECT_EQ(rocketmq.settings.transaction_interval_ms, 30000);
  EXPECT_EQ(rocketmq.settings.transaction_check_max, 15);
  EXPECT_EQ(rocketmq.settings.transaction_check_max_age_s, 0);
  const LoadedSettings http = from_file("transactionCheckProfile=aliyun-http");
  EXPECT_EQ(http.settings.transaction_timeout_ms, 10000);
  EXPECT_EQ(http.settings.transaction_interval_ms, 10000);
  EXPECT_EQ(http.settings.transaction_check_max, 0);
  EXPECT_EQ(http.settings.transaction_check_max_age_s, 86400);
  EXPECT_EQ(only(http).text, "in all: transactionTimeOut=10000, transactionCheckInterval=10000, transactionCheckMax=0, transactionCheckMaxAgeSeconds=86400");
  // Also when they stand before the profile, and when they say what is the default anyway.
  const LoadedSettings mixed = from_file("transactionCheckMax=15\ntransactionCheckProfile=aliyun-http\ntransactionTimeOut=20000\n");
  EXPECT_EQ(mixed.settings.transaction_check_max, 15);
  EXPECT_EQ(mixed.settings.transaction_timeout_ms, 20000);
  EXPECT_EQ(mixed.settings.transaction_interval_ms, 10000);
  EXPECT_EQ(mixed.settings.transaction_check_max_age_s, 86400);
  const Finding bad = only(from_file("transactionCheckProfile=aliyun"));
  EXPECT_EQ(bad.severity, Severity::Bad);
  EXPECT_EQ(bad.text, "must be one of rocketmq|aliyun-http");
}

TEST(SettingsTest, AnUnknownKeyGetsTheNearestName) {
  const Finding& f = only(from_file("brokerNmae=x"));
  EXPECT_EQ(f.severity, Severity::Warning);
  EXPECT_EQ(f.where, "broker.conf:1");
  EXPECT_NE(f.text.find("did you mean brokerName?"), std::string::npos) << f.text;
  EXPECT_EQ(nearest_key("listenport"), "listenPort");
  EXPECT_EQ(nearest_key("qqqqqqqqqqqqqqqqqqqq"), "");
  EXPECT_EQ(nearest_key(std::string(100'000, 'l')), "");  // at once
}

TEST(SettingsTest, ABadValueStopsWithPlaceAndCure) {
  for (const char* line : {"listenPort=70000", "listenPort=ten", "autoCreateTopicEnable=yes", "flushDiskType=SYNC", "messageDelayLevel=1s 5x", "messageDelayLevel=", "brokerName=",
                           "defaultTopicQueueNums=0", "fileReservedTime=", "logLevel=trace"}) {
    const LoadedSettings loaded = from_file(std::string("# a comment first\n") + line);
    EXPECT_FALSE(loaded.usable()) << line;
    EXPECT_EQ(only(loaded).severity, Severity::Bad) << line;
    EXPECT_EQ(only(loaded).where, "broker.conf:2");
    EXPECT_NE(only(loaded).text.find("must"), std::string::npos);
  }
}

TEST(SettingsTest, WhatWouldChangeThePromiseIsRefused) {
  for (const char* line : {"enableControllerMode=true", "enableDLegerCommitLog=true", "brokerRole=SLAVE", "brokerId=1", "aclEnable=true"}) EXPECT_FALSE(from_file(line).usable()) << line;
  for (const char* line : {"enableControllerMode=false", "brokerRole=SYNC_MASTER", "brokerId=0", "aclEnable=false"}) EXPECT_TRUE(from_file(line).usable()) << line;
}

TEST(SettingsTest, CommandLineOverEnvironmentOverFile) {
  SettingSources sources;
  sources.file_name = "f";
  sources.file = *parse_properties("listenPort=1000\nnamesrvListenPort=1001\nbrokerName=from-file\nbrokerIP1=192.0.2.1");
  sources.environment = {{"HALFMOON_LISTEN_PORT", "2000"}, {"HALFMOON_NAMESRV_LISTEN_PORT", "2001"}, {"HALFMOON_BROKER_IP1", "192.0.2.2"}, {"PATH", "/bin"}};
  sources.command_line = {{"listenPort", "3000", 0}};
  const LoadedSettings loaded = load_settings(sources);
  EXPECT_EQ(loaded.settings.listen_port, 3000);
  EXPECT_EQ(loaded.settings.namesrv_listen_port, 2001);
  EXPECT_EQ(loaded.settings.broker_ip1, "192.0.2.2");
  EXPECT_EQ(loaded.settings.broker_name, "from-file");
}

TEST(SettingsTest, EnvironmentNames) {
  EXPECT_EQ(environment_name("brokerIP1"), "HALFMOON_BROKER_IP1");
  EXPECT_EQ(environment_name("listenPort"), "HALFMOON_LISTEN_PORT");
  EXPECT_EQ(environment_name("transactionTimeOut"), "HALFMOON_TRANSACTION_TIME_OUT");
  EXPECT_EQ(environment_name("storePathRootDir"), "HALFMOON_STORE_PATH_ROOT_DIR");
  EXPECT_EQ(environment_name("enableDLegerCommitLog"), "HALFMOON_ENABLE_D_LEGER_COMMIT_LOG");
}

TEST(SettingsTest, OtherNameServersAreSaidNotToKnowUs) {
  EXPECT_EQ(from_file("namesrvAddr=127.0.0.1:9876").findings.size(), 1u);
  const LoadedSettings loaded = from_file("namesrvAddr=127.0.0.1:9876;192.0.2.7:9876");
  ASSERT_EQ(loaded.findings.size(), 2u);
  EXPECT_EQ(loaded.findings[1].severity, Severity::Warning);
  EXPECT_NE(loaded.findings[1].text.find("192.0.2.7:9876"), std::string::npos);
  EXPECT_TRUE(loaded.usable());
}

TEST(SettingsTest, ValuesThatDoNotFitTogether) {
  EXPECT_FALSE(from_file("listenPort=9876").usable());
  EXPECT_FALSE(from_file("tailBufferBytes=10000000").usable());
  EXPECT_FALSE(from_file("tailBufferBytes=1048576").usable()) << "smaller than four messages";
  EXPECT_TRUE(from_file("tailBufferBytes=1048576\nmaxMessageSize=65536").usable());
  EXPECT_TRUE(from_file("mappedFileSizeCommitLog=10000000").usable());
  EXPECT_EQ(from_file("mappedFileSizeCommitLog=10000000").settings.segment_bytes % 4096, 0);
}

TEST(SettingsTest, DelayLevels) {
  EXPECT_EQ(from_file("messageDelayLevel=1s 5m  2h 1d").settings.delay_levels_ms(), (std::vector<std::int64_t>{1000, 300000, 7200000, 86400000}));
  EXPECT_EQ(Settings().delay_levels_ms().size(), 18u);
}

TEST(KnownKeysTest, EveryNameIsThereOnceAndDefaultsAreInRange) {
  std::set<std::string_view> seen;
  for (std::string_view name : all_key_names()) EXPECT_TRUE(seen.insert(name).second) << name;
  for (const KnownKey& key : known_keys()) {
    EXPECT_FALSE(key.help.empty()) << key.name;
    SettingSources sources;
    sources.command_line = {{std::string(key.name), default_text(key), 0}};
    const LoadedSettings loaded = load_settings(sources);
    EXPECT_TRUE(loaded.usable()) << key.name << ": " << loaded.findings[0].text;
  }
  EXPECT_GT(all_key_names().size(), 300u);
}

}  // namespace
}  // namespace halfmoon::server
