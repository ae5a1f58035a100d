#include "ridgeline/server/limits/api_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>

#include "ridgeline/server/limits/key_file.h"

namespace ridgeline {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ApiKeysTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "ridgeline-keys-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ + "/keys";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void put(const std::string& text) {
    // As an editor does it, so that a reader sees one file or the other.
    const std::string fresh = path_ + ".new";
    std::ofstream(fresh) << text;
    ::chmod(fresh.c_str(), 0600);
    std::filesystem::rename(fresh, path_);
  }
  std::string error_of(const std::string& text) {
    put(text);
    const auto keys = ApiKeys::load(path_);
    return keys ? "" : keys.error().message;
  }

  std::string folder_, path_;
};

TEST_F(ApiKeysTest, NamesLimitsAndComments) {
  put("# who   what\n\n"
      "alice   sk-alice-0123456789\n"
      "  batch\tsk-batch-0123456789 rpm=60 tpm=100000 concurrent=4 priority=10 cache=private # "
      "b\r\n"
      "last.one sk-last-0123456789!#");
  const auto keys = ApiKeys::load(path_);
  ASSERT_TRUE(keys) << keys.error().message;
  EXPECT_TRUE(keys->required());
  EXPECT_EQ(keys->size(), 3u);
  EXPECT_EQ(keys->warning(), "");

  const auto alice = keys->check("sk-alice-0123456789");
  ASSERT_TRUE(alice);
  EXPECT_EQ(alice->name, "alice");
  EXPECT_EQ(alice->limits.requests_per_minute, 0);
  EXPECT_EQ(alice->priority, 0);
  EXPECT_FALSE(alice->private_cache);
  const auto batch = keys->check("sk-batch-0123456789");
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->limits.requests_per_minute, 60);
  EXPECT_EQ(batch->limits.tokens_per_minute, 100000);
  EXPECT_EQ(batch->limits.concurrent_requests, 4);
  EXPECT_EQ(batch->priority, 10);
  EXPECT_TRUE(batch->private_cache);
  EXPECT_NE(batch->tenant, alice->tenant);
  EXPECT_TRUE(keys->check("sk-last-0123456789!#"));

  for (const char* wrong : {"", "alice", "sk-alice-012345678", "sk-alice-01234567890",
                            "SK-alice-0123456789", "sk-alice-0123456789 "}) {
    EXPECT_FALSE(keys->check(wrong)) << wrong;
  }
}

TEST_F(ApiKeysTest, AHashStandsForItsKey) {
  put("alice sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n");
  const auto keys = ApiKeys::load(path_);
  ASSERT_TRUE(keys) << keys.error().message;
  EXPECT_TRUE(keys->check("test"));
  EXPECT_FALSE(
      keys->check("sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"));
}

TEST_F(ApiKeysTest, ATenantIsAFunctionOfTheName) {
  put("alice sk-alice-0123456789\n");
  const auto before = ApiKeys::load(path_)->check("sk-alice-0123456789");
  put("bob sk-bob-0123456789\nalice sk-alice-rotated-0123\n");
  const auto after = ApiKeys::load(path_)->check("sk-alice-rotated-0123");
  ASSERT_TRUE(before && after);
  EXPECT_EQ(before->tenant, after->tenant);
}

TEST_F(ApiKeysTest, ErrorsNameTheLineAndNeverTheKey) {
  const std::string secret = "sk-secret-0123456789";
  const struct {
    std::string line;
    const char* says;
  } cases[] = {
      {"alice", "the key is missing"},
      {"alice short", "5 characters"},
      {"al/ice " + secret, "the name"},
      {std::string(65, 'a') + " " + secret, "65 characters"},
      {"alice sha256:12", "64 hexadecimal digits"},
      {"alice sha256:" + std::string(64, 'g'), "64 hexadecimal digits"},
      {"alice sk-caf\xC3\xA9-0123456789", "ASCII"},
      {"alice " + secret + " rpm=0", "rpm"},
      {"alice " + secret + " rpm=-1", "rpm"},
      {"alice " + secret + " tpm=1e5", "tpm"},
      {"alice " + secret + " tpm=99999999999999999999", "tpm"},
      {"alice " + secret + " concurrent=", "concurrent"},
      {"alice " + secret + " priority=high", "priority"},
      {"alice " + secret + " cache=yes", "private or shared"},
      {"alice " + secret + " burst=3", "'burst=3' is no option"},
      {"alice " + secret + " " + secret, "no '='"},
      {"alice x " + secret, "1 characters"},
      {"other " + secret, "same key as 'first'"},
      {"first sk-another-0123456789", "second key named 'first'"},
  };
  for (const auto& [line, says] : cases) {
    const std::string error = error_of("first " + secret + "\n\n" + line + "\n");
    EXPECT_THAT(error, HasSubstr(path_ + ": line 3: ")) << line;
    EXPECT_THAT(error, HasSubstr(says)) << line;
    EXPECT_THAT(error, Not(HasSubstr("secret"))) << line;
  }
  EXPECT_THAT(error_of("# nobody\n"), HasSubstr("holds no key"));
  EXPECT_THAT(ApiKeys::load(folder_ + "/absent").error().message, HasSubstr("/absent"));
  EXPECT_THAT(ApiKeys::load(folder_).error().message, HasSubstr(folder_));
}

TEST_F(ApiKeysTest, WarnsIfOthersMayReadOrChangeIt) {
  put("alice sk-alice-0123456789\n");
  ::chmod(path_.c_str(), 0644);
  EXPECT_THAT(ApiKeys::load(path_)->warning(), HasSubstr("read"));
  ::chmod(path_.c_str(), 0602);
  EXPECT_THAT(ApiKeys::load(path_)->warning(), HasSubstr("change"));
  ::chmod(path_.c_str(), 0640);
  EXPECT_EQ(ApiKeys::load(path_)->warning(), "");
}

TEST_F(ApiKeysTest, AWrongFileLeavesTheKeysAsTheyWere) {
  put("alice sk-alice-0123456789 rpm=1\n");
  auto keys = ApiKeys::load(path_);
  ASSERT_TRUE(keys);
  put("bob sk-bob-0123456789\nbroken\n");
  const Status status = keys->reload();
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("line 2"));
  EXPECT_TRUE(keys->check("sk-alice-0123456789"));
  EXPECT_FALSE(keys->check("sk-bob-0123456789"));

  put("bob sk-bob-0123456789\n");
  ASSERT_TRUE(keys->reload());
  EXPECT_FALSE(keys->check("sk-alice-0123456789"));
  EXPECT_TRUE(keys->check("sk-bob-0123456789"));
}

TEST_F(ApiKeysTest, ReloadsWhileOthersCheck) {
  put("alice sk-alice-0123456789 rpm=1\n");
  auto keys = ApiKeys::load(path_);
  ASSERT_TRUE(keys);
  std::atomic<bool> done{false};
  std::thread checker([&] {
    while (!done) EXPECT_TRUE(keys->check("sk-alice-0123456789"));
  });
  for (int i = 1; i <= 20; ++i) {
    put("alice sk-alice-0123456789 rpm=" + std::to_string(i) + "\n");
    EXPECT_TRUE(keys->reload());
  }
  done = true;
  checker.join();
  EXPECT_EQ(keys->check("sk-alice-0123456789")->limits.requests_per_minute, 20);
}

TEST(ApiKeys, WithoutAFileEveryoneIsAnonymous) {
  ApiKeys keys = ApiKeys::anonymous({.requests_per_minute = 7});
  EXPECT_FALSE(keys.required());
  for (const char* bearer : {"", "sk-whatever"}) {
    const auto key = keys.check(bearer);
    ASSERT_TRUE(key);
    EXPECT_EQ(key->name, "anonymous");
    EXPECT_EQ(key->tenant, 0u);
    EXPECT_EQ(key->limits.requests_per_minute, 7);
  }
  EXPECT_TRUE(keys.reload());
}

TEST(KeyFile, RandomBytesAreAnErrorOrKeys) {
  std::mt19937 random(1);
  const std::string parts[] = {"alice",
                               " ",
                               "\n",
                               "sk-alice-0123456789",
                               "rpm=",
                               "1",
                               "#",
                               "sha256:",
                               "\t",
                               "=",
                               std::string(1, '\0'),
                               "\xff",
                               "cache=private"};
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (auto n = random() % 20; n > 0; --n) text += parts[random() % std::size(parts)];
    const auto keys = parse_key_file(text, "the/file");
    if (keys) {
      EXPECT_FALSE(keys->empty());
    } else {
      EXPECT_THAT(keys.error().message, HasSubstr("the/file"));
    }
  }
}

}  // namespace
}  // namespace ridgeline
