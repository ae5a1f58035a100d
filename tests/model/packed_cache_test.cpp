// --packed-cache: whatever is in the folder, the logits are those of a start without it.

#include "ridgeline/model/packed_cache.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/kv/block_table.h"
#include "ridgeline/model/model.h"
#include "ridgeline/platform/atomic_file.h"
#include "tests/support/random_model.h"
#include "tests/support/recipe_model.h"

namespace ridgeline {
namespace {

namespace fs = std::filesystem;
using testing::EndsWith;
using testing::HasSubstr;
using State = PackedCacheReport::State;

struct Start {
  std::vector<float> logits;
  PackedCacheReport report;
  std::size_t weight_bytes = 0;
};

struct StartOptions {
  std::string cache{};
  bool verify = false;
  PackedCacheOptions::Memory memory = PackedCacheOptions::Memory::kAuto;
  std::string isa{};
  ActivationPrecision activations = ActivationPrecision::kFast;
  int threads = 2;
};

/// Loads the model as a new process would, and computes a few positions.
Start start(const std::string& path, const StartOptions& options) {
  Start result;
  auto file = ModelFile::open(path);
  auto backend = create_backend({.threads = options.threads,
                                 .isa = options.isa,
                                 .activations = options.activations,
                                 .pin = false});
  if (!file || !backend) {
    ADD_FAILURE() << (file ? backend.error().message : file.error().message);
    return result;
  }
  constexpr std::int64_t kPositions = 5;
  Model::LoadOptions load;
  load.max_batch_rows = load.max_logit_rows = load.max_positions = kPositions;
  load.packed_cache = {options.cache, options.verify, options.memory};
  auto model = Model::load(*file, **backend, load);
  if (!model) {
    ADD_FAILURE() << model.error().message;
    return result;
  }
  const ModelConfig& config = (*model)->config();
  BlockPool pool(blocks_for(kPositions));
  auto cache = (*backend)->make_kv_cache(config.kv_shape(DType::kF32, pool.capacity()));
  BlockTable blocks(pool);
  EXPECT_TRUE(blocks.reserve(kPositions));
  Batch batch;
  batch.tokens = {1, 70, 250, 2, 131};
  batch.slices = {{0, kPositions, 0, blocks.blocks()}};
  batch.logit_rows = {0, 1, 2, 3, 4};
  (*model)->forward(batch, **cache);
  result.logits.resize(static_cast<std::size_t>(kPositions * config.vocab_size));
  (*model)->head(0, kPositions, result.logits);
  result.report = (*model)->packed_cache();
  result.weight_bytes = (*model)->weight_bytes();
  return result;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}
/// Writes one byte in place and puts mtime back.
void edit_in_place(const std::string& path, std::size_t offset) {
  struct stat before {};
  ASSERT_EQ(::stat(path.c_str(), &before), 0);
  {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(offset));
    const char old = static_cast<char>(file.get());
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(old ^ 0x11));
  }
  const timespec times[2] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

class PackedCache : public testing::Test {
 protected:
  void SetUp() override {
    model_ = test::temporary_path("cache.gguf");
    cache_ = test::temporary_path("cache");
    fs::remove_all(cache_);
    test::write_random_model(model_, {.dtype = DType::kQ4_0});
  }
  void TearDown() override {
    fs::remove_all(cache_);
    fs::remove(model_);
  }
  std::vector<std::string> files(const std::string& suffix) const {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(cache_, error))
      if (entry.path().string().ends_with(suffix)) names.push_back(entry.path().string());
    return names;
  }
  std::string model_, cache_;
};

TEST_F(PackedCache, EveryStartGivesTheSameBits) {
  for (const DTypeInfo& type : all_dtypes()) {
    if (!is_gguf_type(type.dtype)) continue;  // packed4_test.cpp
    const DType dtype = type.dtype;
    SCOPED_TRACE(type.name);
    test::write_random_model(model_, {.dtype = dtype, .tied = dtype == DType::kQ8_0});
    const Start without = start(model_, {});
    EXPECT_EQ(without.report.state, State::kOff);
    const Start first = start(model_, {.cache = cache_});
    EXPECT_EQ(first.report.state, State::kWritten) << first.report.warning;
    EXPECT_EQ(first.report.bytes, fs::file_size(first.report.path));
    const Start second = start(model_, {.cache = cache_});
    EXPECT_EQ(second.report.state, State::kUsed) << second.report.warning;
    EXPECT_EQ(second.report.path, first.report.path);
    EXPECT_EQ(without.logits, first.logits);
    EXPECT_EQ(without.logits, second.logits);
    EXPECT_EQ(without.weight_bytes, second.weight_bytes);
    EXPECT_EQ(first.report.warning + second.report.warning, "");
  }
}

TEST_F(PackedCache, ALargerFileIsWrittenInSeveralPieces) {
  test::write_random_model(
      model_, {.dtype = DType::kF32, .layers = 1, .hidden_size = 1024, .ffn_size = 2048});
  const Start without = start(model_, {});
  EXPECT_GT(without.weight_bytes, std::size_t{25} << 20);
  EXPECT_EQ(start(model_, {.cache = cache_}).logits, without.logits);
  using Memory = PackedCacheOptions::Memory;
  for (const Memory memory : {Memory::kAuto, Memory::kShared, Memory::kOwn}) {
    const Start second = start(model_, {.cache = cache_, .memory = memory});
    EXPECT_EQ(second.report.state, State::kUsed) << second.report.warning;
    EXPECT_EQ(second.logits, without.logits);
    if (memory != Memory::kAuto) {
      EXPECT_EQ(second.report.shared, memory == Memory::kShared);
    }
  }
}

/// Experts whose rows are no whole panels, in one tensor and apart, and heads taken out of one.
TEST_F(PackedCache, HoldsStacksOfMatrices) {
  for (const char* recipe : {"mixtral", "mixtral-apart", "deepseek2-lite-old"}) {
    SCOPED_TRACE(recipe);
    test::write_recipe_model(model_, test::read_recipe(recipe));
    const Start plain = start(model_, {});
    const Start first = start(model_, {.cache = cache_});
    const Start second = start(model_, {.cache = cache_});
    EXPECT_EQ(first.report.state, State::kWritten) << first.report.warning;
    EXPECT_EQ(second.report.state, State::kUsed) << second.report.warning;
    EXPECT_EQ(first.logits, plain.logits);
    EXPECT_EQ(second.logits, plain.logits);
    EXPECT_EQ(second.weight_bytes, plain.weight_bytes);
  }
}

TEST_F(PackedCache, AFileServesWhoeverPacksAlike) {
  std::map<std::uint64_t, std::string> path_of_layout;
  for (const KernelTable* table : available_kernels()) {
    for (const auto activations : {ActivationPrecision::kFast, ActivationPrecision::kExact}) {
      StartOptions options{.isa = std::string(table->name), .activations = activations};
      SCOPED_TRACE(options.isa);
      auto backend = create_backend({.threads = 1, .isa = options.isa, .activations = activations});
      const Start without = start(model_, options);
      options.cache = cache_;
      const Start with = start(model_, options);
      EXPECT_EQ(without.logits, with.logits);
      const auto [known, is_new] =
          path_of_layout.try_emplace((*backend)->packed_layout(DType::kQ4_0), with.report.path);
      EXPECT_EQ(known->second, with.report.path);
      EXPECT_EQ(with.report.state, is_new ? State::kWritten : State::kUsed);
    }
  }
  EXPECT_EQ(files(".packed").size(), path_of_layout.size());
}

TEST_F(PackedCache, LayoutsOfTypesDiffer) {
  auto backend = create_backend({.threads = 1, .isa = ""});
  ASSERT_TRUE(backend);
  std::set<std::uint64_t> layouts;
  for (const DTypeInfo& type : all_dtypes()) layouts.insert((*backend)->packed_layout(type.dtype));
  // IQ4_NL packs as Q4_0 does: only what its codes mean is different.
  EXPECT_EQ(layouts.size(), all_dtypes().size() - 1);
}

// 16-bit weights that are rounded to 8 bits have a layout of their own, with or without
// outliers; the head has none.
TEST_F(PackedCache, Int8HasItsOwnFile) {
  const std::string half = test::temporary_path("half.gguf");
  test::write_random_model(half, {.dtype = DType::kF16});
  const auto layout = [](ActivationPrecision activations, MatrixType type) {
    auto backend = create_backend({.threads = 1, .isa = {}, .activations = activations});
    return (*backend)->packed_layout(type);
  };
  std::map<ActivationPrecision, std::string> path;
  for (const auto activations :
       {ActivationPrecision::kFast, ActivationPrecision::kInt8, ActivationPrecision::kLlmInt8}) {
    SCOPED_TRACE(name(activations));
    StartOptions options{.activations = activations};
    const Start without = start(half, options);
    options.cache = cache_;
    const Start with = start(half, options);
    EXPECT_EQ(with.logits, without.logits);
    path[activations] = with.report.path;
    EXPECT_EQ(with.report.state,
              activations == ActivationPrecision::kLlmInt8 ? State::kUsed : State::kWritten);
    for (const DType type : {DType::kF16, DType::kBF16}) {
      EXPECT_EQ(layout(activations, {type, /*is_kept=*/true}),
                layout(ActivationPrecision::kFast, type));
      EXPECT_EQ(layout(activations, type) == layout(ActivationPrecision::kFast, type),
                activations == ActivationPrecision::kFast);
    }
    EXPECT_EQ(layout(activations, DType::kF32), layout(ActivationPrecision::kFast, DType::kF32));
  }
  EXPECT_NE(path[ActivationPrecision::kFast], path[ActivationPrecision::kInt8]);
  EXPECT_EQ(path[ActivationPrecision::kLlmInt8], path[ActivationPrecision::kInt8]);
  std::remove(half.c_str());
}

TEST_F(PackedCache, ModelsShareAFolder) {
  const std::string other = test::temporary_path("other.gguf");
  test::write_random_model(other, {.dtype = DType::kQ4_0, .seed = 2});
  const Start a = start(model_, {.cache = cache_}), b = start(other, {.cache = cache_});
  EXPECT_NE(a.report.path, b.report.path);
  EXPECT_EQ(start(model_, {.cache = cache_}).logits, a.logits);
  EXPECT_EQ(start(other, {.cache = cache_}).logits, b.logits);
  EXPECT_NE(a.logits, b.logits);
  // The same content under another name is the same model.
  fs::copy_file(model_, other, fs::copy_options::overwrite_existing);
  EXPECT_EQ(start(other, {.cache = cache_}).report.path, a.report.path);
  fs::remove(other);
}

TEST_F(PackedCache, DamageIsFoundWhereverItIs) {
  const Start without = start(model_, {});
  const std::string path = start(model_, {.cache = cache_}).report.path;
  const std::string good = read_file(path);
  std::vector<std::size_t> places{0, 7, 8, 12, 16, 24, 31, 4096, good.size() - 1};
  std::mt19937 random(1);
  for (int i = 0; i < 60; ++i) places.push_back(random() % good.size());
  for (int i = 0; i < 20; ++i) places.push_back(good.size() - 1 - random() % 2000);
  for (const std::size_t place : places) {
    SCOPED_TRACE(place);
    std::string bad = good;
    bad[place] = static_cast<char>(bad[place] ^ (1 << (random() % 8)));
    write_file(path, bad);
    const Start now = start(model_, {.cache = cache_});
    EXPECT_EQ(now.logits, without.logits);
    const bool is_padding = place >= 32 && place < 4096;
    EXPECT_EQ(now.report.state, is_padding ? State::kUsed : State::kWritten);
    EXPECT_EQ(now.report.warning.empty(), is_padding);
    if (!is_padding) {
      EXPECT_EQ(read_file(path), good);
    }
  }
}

TEST_F(PackedCache, TruncatedAndForeignFilesAreReplaced) {
  const Start without = start(model_, {});
  const std::string path = start(model_, {.cache = cache_}).report.path;
  const std::string good = read_file(path);
  std::mt19937 random(2);
  std::vector<std::string> contents{"",
                                    "x",
                                    std::string(good.size(), '\0'),
                                    good + "x",
                                    good.substr(0, 4096),
                                    good.substr(0, good.size() - 1)};
  for (int i = 0; i < 10; ++i) contents.push_back(good.substr(0, random() % good.size()));
  for (const std::string& content : contents) {
    SCOPED_TRACE(content.size());
    write_file(path, content);
    const Start now = start(model_, {.cache = cache_});
    EXPECT_EQ(now.logits, without.logits);
    EXPECT_EQ(now.report.state, State::kWritten);
    EXPECT_THAT(now.report.warning, testing::AllOf(HasSubstr(path), HasSubstr("packed again")));
    EXPECT_EQ(read_file(path), good);
  }
}

TEST_F(PackedCache, ReadsEverythingOnceAndThenOnlyAfterAChange) {
  const Start first = start(model_, {.cache = cache_});
  const std::string path = first.report.path;
  // What was changed a moment ago is not trusted yet: clocks are coarse.
  EXPECT_TRUE(start(model_, {.cache = cache_}).report.verified);
  EXPECT_TRUE(start(model_, {.cache = cache_}).report.verified);
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  EXPECT_TRUE(start(model_, {.cache = cache_}).report.verified);
  const Start trusted = start(model_, {.cache = cache_});
  EXPECT_FALSE(trusted.report.verified);
  EXPECT_EQ(trusted.report.state, State::kUsed);
  EXPECT_EQ(trusted.logits, first.logits);
  EXPECT_TRUE(start(model_, {.cache = cache_, .verify = true}).report.verified);

  const std::string stamp = read_file(path + ".verified");
  write_file(path + ".verified", stamp.substr(0, stamp.size() - 2));
  EXPECT_TRUE(start(model_, {.cache = cache_}).report.verified);
  write_file(path + ".verified", stamp);
  EXPECT_FALSE(start(model_, {.cache = cache_}).report.verified);

  edit_in_place(path, 5000);
  const Start damaged = start(model_, {.cache = cache_});
  EXPECT_EQ(damaged.report.state, State::kWritten);
  EXPECT_THAT(damaged.report.warning, HasSubstr("checksums"));
  EXPECT_EQ(damaged.logits, first.logits);
}

TEST_F(PackedCache, AModelThatIsEditedInPlaceIsPackedAgain) {
  const Start before = start(model_, {.cache = cache_});
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  EXPECT_TRUE(start(model_, {.cache = cache_}).report.verified);
  EXPECT_FALSE(start(model_, {.cache = cache_}).report.verified);
  edit_in_place(model_, fs::file_size(model_) - 1000);  // a value of output.weight
  const Start without = start(model_, {});
  ASSERT_NE(without.logits, before.logits);
  const Start after = start(model_, {.cache = cache_});
  EXPECT_EQ(after.report.state, State::kWritten);
  EXPECT_EQ(after.report.path, before.report.path);  // the edit hit none of the samples
  EXPECT_EQ(after.report.warning, "");
  EXPECT_EQ(after.logits, without.logits);
  EXPECT_EQ(start(model_, {.cache = cache_}).logits, without.logits);
}

TEST_F(PackedCache, WritersDoNotDisturbEachOther) {
  const Start without = start(model_, {});
  std::vector<Start> starts(4);
  {
    std::vector<std::jthread> threads;
    for (Start& s : starts)
      threads.emplace_back([&] { s = start(model_, {.cache = cache_, .threads = 1}); });
  }
  for (const Start& s : starts) {
    EXPECT_EQ(s.logits, without.logits);
    EXPECT_NE(s.report.state, State::kUnavailable) << s.report.warning;
    EXPECT_EQ(s.report.warning, "");
  }
  EXPECT_EQ(files(".packed").size(), 1u);
  EXPECT_EQ(files(".tmp").size(), 0u);
}

TEST_F(PackedCache, RemovesWhatKilledProcessesLeft) {
  fs::create_directories(cache_);
  write_file(cache_ + "/ridgeline-0.packed.1234.tmp", "half");
  write_file(cache_ + "/somebody-elses.tmp", "whole");
  auto alive = AtomicFile::create(cache_ + "/ridgeline-1.packed", 100);
  ASSERT_TRUE(alive);
  start(model_, {.cache = cache_});
  EXPECT_EQ(files(".1234.tmp").size(), 0u);
  EXPECT_EQ(files("elses.tmp").size(), 1u);
  EXPECT_TRUE(alive->publish());
}

TEST_F(PackedCache, AFolderThatCannotBeUsedIsOneWarning) {
  const Start without = start(model_, {});
  const auto expect_unavailable = [&](const std::string& folder, const std::string& reason) {
    const Start s = start(model_, {.cache = folder});
    EXPECT_EQ(s.report.state, State::kUnavailable);
    EXPECT_THAT(s.report.warning, HasSubstr(reason));
    EXPECT_THAT(s.report.warning, EndsWith("running without the packed cache"));
    EXPECT_EQ(s.logits, without.logits);
  };
  expect_unavailable(model_, "Not a directory");
  expect_unavailable("/proc/nothing/here", "No such file");
  if (::geteuid() != 0) {  // root writes everywhere
    fs::create_directories(cache_);
    ::chmod(cache_.c_str(), 0555);
    expect_unavailable(cache_, "Permission denied");
    ::chmod(cache_.c_str(), 0755);
  }
  // As on a full disk, but with another number.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 100'000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  expect_unavailable(cache_, "File too large");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(files("").size(), 0u);
}

}  // namespace
}  // namespace ridgeline
