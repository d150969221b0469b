// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "server/known_keys.h"

namespace halfmoon::server {
namespace {

/// Apache's names by the one reason why they do nothing here.
struct IdleGroup {
  std::string_view why;
  std::vector<std::string_view> names;
};

const std::vector<IdleGroup>& groups() {
  static const std::vector<IdleGroup> all = {
      {"requests run on the I/O threads (ioThreads) and never wait for a pool",
       {"sendMessageThreadPoolNums", "putMessageFutureThreadPoolNums", "pullMessageThreadPoolNums", "litePullMessageThreadPoolNums", "ackMessageThreadPoolNums",
        "processReplyMessageThreadPoolNums", "queryMessageThreadPoolNums", "adminBrokerThreadPoolNums", "clientManageThreadPoolNums", "consumerManageThreadPoolNums",
        "loadBalanceProcessorThreadPoolNums", "heartbeatThreadPoolNums", "recoverThreadPoolNums", "endTransactionThreadPoolNums", "getTopicRouteThreadPoolNums",
        "sendThreadPoolQueueCapacity", "putThreadPoolQueueCapacity", "pullThreadPoolQueueCapacity", "litePullThreadPoolQueueCapacity", "ackThreadPoolQueueCapacity",
        "replyThreadPoolQueueCapacity", "queryThreadPoolQueueCapacity", "clientManagerThreadPoolQueueCapacity", "consumerManagerThreadPoolQueueCapacity",
        "heartbeatThreadPoolQueueCapacity", "endTransactionPoolQueueCapacity", "adminBrokerThreadPoolQueueCapacity", "loadBalanceThreadPoolQueueCapacity",
        "defaultThreadPoolNums", "defaultThreadPoolQueueCapacity", "clientRequestThreadPoolNums", "clientRequestThreadPoolQueueCapacity", "unRegisterBrokerQueueCapacity",
        "serverWorkerThreads", "serverCallbackExecutorThreads", "serverSelectorThreads", "serverNettyWorkerGroupEnable", "useEpollNativeSelector", "asyncSendEnable"}},
      {"the kernel sizes socket buffers; unsent answers are limited by answerPauseBytes and maxAnswerBytes",
       {"serverSocketSndBufSize", "serverSocketRcvBufSize", "writeBufferHighWaterMark", "writeBufferLowWaterMark", "serverSocketBacklog", "serverPooledByteBufAllocatorEnable",
        "serverOnewaySemaphoreValue", "serverAsyncSemaphoreValue", "enableShutdownGracefully", "shutdownWaitTimeSeconds", "clientSocketSndBufSize", "clientSocketRcvBufSize",
        "clientWorkerThreads", "clientCallbackExecutorThreads", "clientOnewaySemaphoreValue", "clientAsyncSemaphoreValue", "connectTimeoutMillis", "channelNotActiveInterval",
        "clientChannelMaxIdleTimeSeconds", "clientCloseSocketIfTimeout", "clientPooledByteBufAllocatorEnable"}},
      {"no request waits in a queue for a thread; a full budget is answered as busy at once",
       {"brokerFastFailureEnable", "waitTimeMillsInSendQueue", "waitTimeMillsInPullQueue", "waitTimeMillsInLitePullQueue", "waitTimeMillsInHeartbeatQueue",
        "waitTimeMillsInTransactionQueue", "waitTimeMillsInAckQueue", "waitTimeMillsInAdminBrokerQueue", "startAcceptSendRequestTimeStamp", "osPageCacheBusyTimeOutMills",
        "skipWhenCKRePutReachMaxTimes", "syncFlushTimeout"}},
      {"the log is written through buffers of our own; nothing is memory-mapped, warmed, or committed in steps",
       {"transientStorePoolEnable", "transientStorePoolSize", "fastFailIfNoBufferInStorePool", "warmMapedFileEnable", "flushLeastPagesWhenWarmMapedFile",
        "useReentrantLockWhenPutMessage", "useABSLock", "enableAdaptiveLock", "commitCommitLogLeastPages", "commitIntervalCommitLog", "commitCommitLogThoroughInterval",
        "flushCommitLogLeastPages", "flushCommitLogThoroughInterval", "flushCommitLogTimed", "transferMsgByHeap", "debugLockEnable", "mappedFileSwapEnable",
        "commitLogForceSwapMapInterval", "commitLogSwapMapInterval", "commitLogSwapMapReserveFileNum", "logicQueueForceSwapMapInterval", "logicQueueSwapMapInterval",
        "searchBcqByCacheEnable", "dispatchFromSenderThread", "wakeCommitWhenPutMessage", "wakeFlushWhenPutMessage", "writeWithoutMmap", "enableCleanExpiredOffset",
        "maxAsyncPutMessageRequests", "useScheduledDispatch", "readUnCommitted", "putConsumeQueueDataByFileChannel", "asyncLearner", "topicQueueLockNum",
        "appendTopicAssigned", "maxBatchDeleteFilesNum", "dispatchCqThreads", "dispatchCqCacheNum", "enableAsyncReput", "recheckReputOffsetFromCq"}},
      {"there are no consume queue files: the index of each queue is a table rebuilt from the log",
       {"mappedFileSizeConsumeQueue", "enableConsumeQueueExt", "mappedFileSizeConsumeQueueExt", "bitMapLengthConsumeQueueExt", "flushIntervalConsumeQueue",
        "flushConsumeQueueLeastPages", "flushConsumeQueueThoroughInterval", "deleteConsumeQueueFilesInterval", "putMsgIndexHightWater", "maxConsumeQueueScan",
        "sampleCountThreshold", "consumeQueueType", "batchCQAlternativeSampleCount", "mappedFileSizeBatchConsumeQueue", "enableConsumeQueueRocksDB", "rocksdbCQDoubleWriteEnable",
        "rocksdbCompressionType", "realTimePersistRocksDBConfig", "cleanRocksDBDirtyCQIntervalMin", "statRocksDBCQIntervalSec", "memTableFlushIntervalMs", "enableRocksDBLog",
        "storePathConsumeQueue"}},
      {"there is no key index file yet: queries by key are answered as not supported",
       {"messageIndexEnable", "messageIndexSafe", "maxIndexNum", "maxHashSlotNum", "storePathIndex", "maxMsgsNumBatch", "indexRocksDBEnable"}},
      {"retention runs every ten seconds by fileReservedTime and retentionBytes",
       {"deleteWhen", "redeleteHangedFileInterval", "deleteCommitLogFilesInterval", "destroyMapedFileIntervalForcibly", "cleanResourceInterval",
        "deleteFileBatchMax", "diskFallRecorded"}},
      {"everything lies in storePathRootDir",
       {"storePathCommitLog", "storePathDLedgerCommitLog", "storePathEpochFile", "storePathBrokerIdentity", "readOnlyCommitLogStorePaths", "kvConfigPath",
        "configStorePath", "rocketmqHome"}},
      {"checksums are always on: of every record when it is read from disk and when the log is recovered",
       {"checkCRCOnRecover", "forceVerifyPropCRC", "enabledAppendPropCRC"}},
      {"a pull is limited by what the client asks for and by 256 KiB, whether the messages are in memory or on disk",
       {"accessMessageInMemoryMaxRatio", "maxTransferBytesOnMessageInMemory", "maxTransferCountOnMessageInMemory", "maxTransferBytesOnMessageInDisk",
        "maxTransferCountOnMessageInDisk", "transferOffsetByTimestamp", "offsetCheckInSlave", "slaveReadEnable", "maxErrorRateOfBloomFilter",
        "expectConsumerNumUseFilter", "maxFilterMessageSize", "coldDataFlowControlEnable", "coldDataScanEnable", "coldDataReadAheadMode", "cgColdReadThreshold", "globalColdReadThreshold",
        "coldCtrEnable", "timerColdDataCheckIntervalMs"}},
      {"long polls are answered by the message itself, not by a scan",
       {"longPollingEnable", "shortPollingTimeMills", "notifyConsumerIdsChangedEnable", "popPollingMapSize", "popPollingSize", "maxPopPollingSize", "enableNotifyBeforePopCalculateLag"}},
      {"filtering is by tag; filters by SQL are answered as not supported",
       {"enablePropertyFilter", "enableCalcFilterBitMap", "filterSupportRetry", "filterDataCleanTimeSpan", "filterServerNums"}},
      {"a half message is stored once and its verdict is a record of the log: there are no op messages to batch",
       {"transactionOpMsgMaxSize", "transactionOpBatchInterval", "transactionMetricFlushInterval", "transactionCheckMaxTimeInMs", "enableTransactionMetrics"}},
      {"delayed messages are a table beside the log with a precision of one millisecond; there is no wheel or timer log to size",
       {"timerWheelEnable", "timerPrecisionMs", "timerRollWindowSlot", "timerFlushIntervalMs", "timerGetMessageThreadNum", "timerPutMessageThreadNum", "timerEnableDisruptor",
        "timerEnableCheckMetrics", "timerInterceptDelayLevel", "timerCongestNumEachSlot", "timerProgressLogIntervalMs", "timerStopEnqueue",
        "timerStopDequeue", "timerCheckMetricsWhen", "timerSkipUnknownError", "timerWarmEnable", "timerWheelSnapshotFlush", "timerWheelSnapshotIntervalMs",
        "timerEnableRetryUntilSuccess", "mappedFileSizeTimerLog", "timerReadOnly", "enableScheduleAsyncDeliver", "enableScheduleMessageStats", "flushDelayOffsetInterval",
        "scheduleAsyncDeliverMaxPendingLimit", "scheduleAsyncDeliverMaxResendNum2Blocked", "enableDelayMetrics"}},
      {"pop consumption is not supported yet: its requests are answered as such",
       {"popCkStayBufferTime", "popCkStayBufferTimeOut", "popCkMaxBufferSize", "popCkOffsetMaxQueueSize", "enablePopBatchAck", "enablePopBufferMerge", "enablePopLog", "popResponseReturnActualRetryTopic",
        "enablePopMessageThreshold", "popInflightMessageThreshold", "popFromRetryProbability", "popConsumerFSServiceInit", "popConsumerKVServiceEnable", "popConsumerKVServiceInit",
        "popConsumerKVServiceLog", "popReviveConcurrency", "popReviveMaxReturnSizePerRead", "popReviveMaxAttemptTimes", "reviveQueueNum", "reviveInterval", "reviveMaxSlow", "reviveScanTime",
        "reviveAckWaitMs", "enableSkipLongAwaitingAck", "initPopOffsetByCheckMsgInMem", "retrieveMessageFromPopRetryTopicV1", "enableRetryTopicV2", "appendAckAsync", "appendCkAsync",
        "defaultPopShareQueueNum", "defaultMessageRequestMode", "serverLoadBalancerEnable", "useStaticSubscription", "litePullMessageEnable", "popPriorityOrderly", "recallMessageEnable"}},
      {"there is no replication in this release",
       {"haListenPort", "haMasterAddress", "haSendHeartbeatInterval", "haHousekeepingInterval", "haTransferBatchSize", "haSlaveFallbehindMax", "haMaxGapNotInSync", "haMaxTimeSlaveNotCatchup",
        "haFlowControlEnable", "maxHaTransferByteInSecond", "brokerIP2", "slaveTimeout", "syncFromLastFile", "totalReplicas", "inSyncReplicas", "minInSyncReplicas",
        "allAckInSyncStateSet", "enableAutoInSyncReplicas", "autoInSyncReplicas", "brokerElectionPriority", "brokerNotActiveTimeoutMillis", "controllerAddr", "controllerHeartBeatTimeoutMills",
        "syncBrokerMetadataPeriod", "syncControllerMetadataPeriod", "checkSyncStateSetPeriod", "syncBrokerMemberGroupPeriod", "fetchControllerLeader", "dLegerGroup", "dLegerPeers", "dLegerSelfId",
        "preferredLeaderId", "isEnableBatchPush", "enableDLegerAutoClean", "autoMessageVersionOnTopicLen", "skipPreOnline", "delayOfflineTime", "isInBrokerContainer", "lockInStrictMode",
        "enableSplitMetadata", "splitMetadataSize", "splitRegistrationSize", "enableControllerInNamesrv", "isolateEnable", "enableRemotingServiceLog", "maxSlaveResendLength",
        "compatibleWithOldNameSrv", "supportActingMaster", "notifyMinBrokerIdChanged"}},
      {"the broker registers with the name server of its own process at once, not periodically",
       {"registerNameServerPeriod", "registerBrokerTimeoutMills", "registerBrokerSplit", "forceRegister", "compressedRegister", "compressedRegisterThreshold", "enableSingleTopicRegister",
        "brokerHeartbeatInterval", "sendHeartbeatTimeoutMillis", "brokerNameServerHeartbeat", "fetchNamesrvAddrByAddressServer", "fetchNamesrvAddrByDnsLookup", "fetchNameSrvAddrByAddressServer",
        "fetchNameSrvAddrByDnsLookup", "rmqAddressServerDomain", "rmqAddressServerSubGroup", "updateNameServerAddrPeriod", "enableSlaveRegister"}},
      {"the name server keeps its table in memory, filled by what registers",
       {"clusterTest", "productEnvName", "orderMessageEnable", "returnOrderTopicConfigToBroker", "scanNotActiveBrokerInterval", "enableTopicList", "enableAllTopicList", "needWaitForService",
        "waitSecondsForService", "deleteTopicWithBrokerRegistration", "namesrvConfigVersion", "configBlackList"}},
      {"counters are there, an exporter is not yet",
       {"metricsExporterType", "metricsPromExporterPort", "metricsPromExporterHost", "metricsGrpcExporterTarget", "metricsGrpcExporterHeader", "metricGrpcExporterTimeOutInMills",
        "metricGrpcExporterIntervalInMills", "metricLoggingExporterIntervalInMills", "metricsLabel", "metricsInDelta", "metricsOtelCardinalityLimit", "enableRemotingMetrics", "enableMessageStoreMetrics",
        "enablePopMetrics", "enableConnectionMetrics", "enableStatsMetrics", "enableRequestMetrics", "enableLagAndDlqMetrics", "accountStatsEnable", "accountStatsPrintZeroValues",
        "printChannelGroups", "printChannelGroupsMinNum", "disableConsumeIfConsumerReadSlowly", "consumerFallbehindThreshold"}},
      {"traces are stored as ordinary messages of their topic when clients send them",
       {"traceTopicEnable", "msgTraceTopicName"}},
      {"consumer offsets are records of the log, made durable once a second",
       {"flushConsumerOffsetInterval", "flushConsumerOffsetHistoryInterval", "useServerSideResetOffset", "enableBroadcastOffsetStore", "broadcastOffsetExpireSecond", "broadcastOffsetExpireMaxSecond",
        "consumerOffsetUpdateVersionStep", "delayOffsetUpdateVersionStep", "persistConsumerOffsetIncrementally"}},
      {"reading and writing are permissions of each topic",
       {"brokerPermission", "brokerTopicEnable", "clusterTopicEnable", "validateSystemTopicWhenUpdateTopic", "enableMixedMessageType", "enableTopicMessageTypeCheck", "autoDeleteUnusedStats",
        "autoDeleteUnusedTopic", "storeReplyMessageEnable", "allowCommitOffsetOfUnknownGroup", "rejectPullConsumerEnable", "enableCompaction", "compactionThreadNum",
        "compactionCqMappedFileSize", "compactionMappedFileSize", "compactionScheduleInternal", "maxOffsetMapSize", "subscriptionExpiredTimeout",
        "channelExpiredTimeout", "usePIDColdCtrStrategy", "maxLiteTopicCount"}},
      {"ACL 2.0 is not there yet; without authenticationEnabled these do nothing in Apache either",
       {"authConfigPath", "authenticationProvider", "authenticationMetadataProvider", "authenticationStrategy", "authenticationWhitelist", "initAuthenticationUser",
        "innerClientAuthenticationCredentials", "authorizationProvider", "authorizationMetadataProvider", "authorizationStrategy", "authorizationWhitelist", "migrateAuthFromV1Enabled",
        "userCacheMaxNum", "userCacheExpiredSecond", "userCacheRefreshSecond", "aclCacheMaxNum", "aclCacheExpiredSecond", "aclCacheRefreshSecond", "statefulAuthenticationCacheMaxNum",
        "statefulAuthenticationCacheExpiredSecond", "statefulAuthorizationCacheMaxNum", "statefulAuthorizationCacheExpiredSecond", "adminToolThreadPoolNums"}},
      {"a broker of this kind runs in a process of its own, without plug-ins or containers",
       {"messageStorePlugIn", "brokerContainerConfigPath", "defaultBrokerConfigPath", "proxyMode", "grpcServerPort",
        "remotingListenPort"}},
  };
  return all;
}

const std::vector<IdleKey>& idle_keys() {
  static const std::vector<IdleKey> flat = [] {
    std::vector<IdleKey> out;
    for (const IdleGroup& group : groups())
      for (std::string_view name : group.names) out.push_back({name, group.why});
    std::sort(out.begin(), out.end(), [](const IdleKey& a, const IdleKey& b) { return a.name < b.name; });
    return out;
  }();
  return flat;
}

}  // namespace

const IdleKey* find_idle_key(std::string_view name) {
  const auto& keys = idle_keys();
  const auto it = std::lower_bound(keys.begin(), keys.end(), name, [](const IdleKey& a, std::string_view b) { return a.name < b; });
  return it != keys.end() && it->name == name ? &*it : nullptr;
}

std::span<const std::string_view> all_key_names() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> out;
    for (const KnownKey& k : known_keys()) out.push_back(k.name);
    for (const RefusedKey& k : refused_keys()) out.push_back(k.name);
    for (const IdleKey& k : idle_keys()) out.push_back(k.name);
    return out;
  }();
  return names;
}

}  // namespace halfmoon::server
