// SPDX-License-Identifier: Apache-2.0
// What a consumer group leaves behind: offsets that are not in the log yet, snapshots, deletions.
#include "testkit/core_fixture.h"

namespace halfmoon::testkit {
namespace {

class Groups : public CoreFixture {
 public:
  void commit_one_way(std::int64_t offset) {
    turn([&] { core->commit_offset("CG", {"T", 0}, offset, {}); });
  }
  void delete_group(bool clean) {
    turn([&] { core->delete_group("CG", clean, [](Result<Done>&& r) { EXPECT_TRUE(r.ok()); }); });
  }
};

TEST_F(Groups, ADeletedGroupKeepsAlsoWhatItCommittedOneWayJustBefore) {
  send("T", "x");
  commit_one_way(1);
  delete_group(false);
  restart();
  consumer(1, "CG", "T");
  ASSERT_TRUE(committed("CG", "T").ok());
  EXPECT_EQ(*committed("CG", "T"), 1);
}

TEST_F(Groups, AGroupThatIsMadeAgainHasNothingOfWhatWasCommittedOneWayBefore) {
  send("T", "x");
  commit_one_way(1);
  delete_group(true);
  consumer(1, "CG", "T");
  advance(2000);
  restart();
  EXPECT_FALSE(committed("CG", "T").ok());
  EXPECT_EQ(core->counters().offsets, 0);
}

TEST_F(Groups, ADeletedGroupThatNeverCommittedIsGone) {
  send("T", "x");
  ASSERT_TRUE(pull("T").ok());
  ASSERT_EQ(core->counters().groups, 1);
  delete_group(false);
  EXPECT_EQ(core->counters().groups, 0);
  EXPECT_EQ(core->counters().offsets, 0);
}

TEST_F(Groups, ASnapshotHoldsNoOffsetThatIsNotInTheLog) {
  for (int i = 0; i < 3; i++) send("T", "x");
  commit_one_way(1);
  advance(1000);
  commit_one_way(2);
  EXPECT_EQ(*committed("CG", "T"), 2);
  snapshot();
  crash();
  EXPECT_EQ(*committed("CG", "T"), 1) << "else it would go back where the snapshot is damaged";
  commit_one_way(3);
  advance(1000);
  crash();
  EXPECT_EQ(*committed("CG", "T"), 3);
}

}  // namespace
}  // namespace halfmoon::testkit
