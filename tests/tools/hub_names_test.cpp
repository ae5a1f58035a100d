// What a person names, what a server calls its files, and which of them make a model.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ridgeline/tools/hub/blob_hasher.h"
#include "ridgeline/tools/hub/choose_files.h"
#include "ridgeline/tools/hub/hub_reference.h"
#include "ridgeline/tools/hub/repo_listing.h"

namespace ridgeline::hub {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::UnorderedElementsAre;

TEST(HubReference, ReadsRepositoryRevisionAndSelector) {
  const HubReference a = *HubReference::parse("hf:owner/My.Model-7B_v2");
  EXPECT_EQ(a.repo, "owner/My.Model-7B_v2");
  EXPECT_EQ(a.revision, "main");
  EXPECT_EQ(a.selector, "");
  const HubReference b = *HubReference::parse("hf:o/m@refs/pr/1:sub/file.gguf");
  EXPECT_EQ(b.repo, "o/m");
  EXPECT_EQ(b.revision, "refs/pr/1");
  EXPECT_EQ(b.selector, "sub/file.gguf");
  EXPECT_EQ(HubReference::parse("gpt2:Q8_0")->selector, "Q8_0");
  EXPECT_EQ(HubReference::parse("gpt2:Q8_0")->repo, "gpt2");
}

TEST(HubReference, RefusesWhatIsNoName) {
  for (const char* text :
       {"hf:", "hf:/m", "hf:o/", "hf:a/b/c", "hf:../m", "hf:o/..", "hf:o/a--b", "hf:-o/m", "hf:o m",
        "hf:o/m:", "hf:o/m@", "hf:o/m@../x", "hf:o/m:../x", "hf:o/m:/etc/passwd", "hf:o/m:a//b",
        "hf:o/m:a/./b", "hf:o/m?x", "hf:o/m%2e"}) {
    const auto r = HubReference::parse(text);
    ASSERT_FALSE(r) << text;
    EXPECT_THAT(r.error().message, HasSubstr(text));
  }
}

TEST(SafePath, StaysInsideItsFolder) {
  using namespace std::literals;
  for (const std::string_view path : {"a"sv, "a/b.c"sv, "..a"sv, "a..b/..."sv, "übung/ß"sv})
    EXPECT_TRUE(is_safe_path(path)) << path;
  for (const std::string_view path : {""sv, "/"sv, "/a"sv, "a/"sv, "a//b"sv, ".."sv, "../a"sv,
                                      "a/.."sv, "a/../b"sv, "."sv, "a\0b"sv, "a\nb"sv})
    EXPECT_FALSE(is_safe_path(path)) << path;
  EXPECT_FALSE(is_safe_path(std::string(256, 'a')));
}

const std::string kSha1(40, 'a'), kSha256(64, 'b');

std::string entry(const std::string& path, const std::string& oid = kSha1,
                  const std::string& lfs = "") {
  return R"([{"type":"file","path":")" + path + R"(","size":5,"oid":")" + oid + "\"" +
         (lfs.empty() ? "" : R"(,"lfs":{"oid":")" + lfs + R"(","size":7,"pointerSize":1})") + "}]";
}

TEST(TreePage, FilesHaveTheHashOfTheirContent) {
  const auto plain = parse_tree_page(entry("a/b"));
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(plain->front().path, "a/b");
  EXPECT_EQ(plain->front().size, 5u);
  EXPECT_EQ(plain->front().hash(), kSha1);
  const auto lfs = parse_tree_page(entry("a", kSha1, kSha256));
  ASSERT_TRUE(lfs) << lfs.error().message;
  EXPECT_EQ(lfs->front().size, 7u);
  EXPECT_EQ(lfs->front().hash(), kSha256);
  EXPECT_TRUE(parse_tree_page(R"([{"type":"directory","path":"../x"}])")->empty());
}

TEST(TreePage, HostileEntriesAreRefused) {
  for (const std::string& json :
       {entry("../a"), entry("/etc/passwd"), entry("a/../../b"), entry(R"(a\u0000b)"), entry(""),
        entry("a", "../../x"), entry("a", std::string(39, 'a')), entry("a", kSha1, "../x"),
        entry("a", kSha1, std::string(64, 'B')), std::string(R"([{"type":"file"}])"),
        std::string(R"([{"type":"file","path":"a","size":-1,"oid":")" + kSha1 + "\"}]"),
        std::string(R"([{"type":"file","path":"a","size":1e30,"oid":")" + kSha1 + "\"}]"),
        std::string("[1]"), std::string("{}"), std::string("["), std::string(),
        std::string(100'000, '[')}) {
    const auto files = parse_tree_page(json);
    EXPECT_FALSE(files) << json.substr(0, 200);
  }
}

TEST(TreePage, WhateverComesNamesAreSafe) {
  const std::string good = entry("folder/some-file.gguf", kSha1, kSha256);
  std::uint64_t state = 1;
  const auto random = [&](std::size_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::size_t>(state >> 33) % n;
  };
  constexpr char kCharacters[] = "./\\\"{}[],:0a9-u";  // and zero
  int accepted = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = good;
    for (std::size_t n = 1 + random(3); n > 0; --n)
      text[random(text.size())] = kCharacters[random(sizeof kCharacters)];
    const auto files = parse_tree_page(text);
    if (!files) continue;
    for (const RepoFile& f : *files) {
      ++accepted;
      ASSERT_TRUE(is_safe_path(f.path)) << text;
      ASSERT_TRUE(is_lower_hex(f.hash()) && f.hash().size() >= 40) << text;
    }
  }
  EXPECT_GT(accepted, 1000);
}

TEST(TreeCache, KeepsWhatTheHubSaid) {
  const RepoListing listing{
      std::string(40, 'c'),
      {{"a.json", 5, kSha1, "", ""}, {"b/c.gguf", 7, kSha1, kSha256, std::string(64, 'd')}},
      true};
  const auto read = from_tree_cache(to_tree_cache(listing), listing.commit);
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->complete);
  ASSERT_EQ(read->files.size(), 2u);
  EXPECT_EQ(read->files[0].path, "a.json");
  EXPECT_EQ(read->files[0].hash(), kSha1);
  EXPECT_EQ(read->files[1].hash(), kSha256);
  EXPECT_EQ(read->files[1].size, 7u);
  EXPECT_EQ(read->files[1].xet_hash, std::string(64, 'd'));
}

TEST(TreeCache, ADamagedOneIsNone) {
  const std::string commit(40, 'c');
  // As huggingface_hub 2.4 writes it.
  const std::string good =
      R"({"format_version": 1, "files": {"a": {"size": 5, "blob_id": ")" + kSha1 + R"("}}})";
  EXPECT_TRUE(from_tree_cache(good, commit));
  for (const std::string& text :
       {std::string("[]"), std::string("{}"), good.substr(0, good.size() / 2),
        std::string(R"({"format_version": 2, "files": {}})"),
        std::string(R"({"format_version": 1, "files": {"../a": {"size": 5, "blob_id": ")" + kSha1 +
                    R"("}}})"),
        std::string(R"({"format_version": 1, "files": {"a": {"size": 5}}})")})
    EXPECT_FALSE(from_tree_cache(text, commit)) << text;
}

TEST(BlobHasher, IsTheHashOfLfsAndOfGit) {
  const auto hash = [](RepoFile file, std::string_view text) {
    file.size = text.size();
    BlobHasher hasher(file);
    hasher.update(std::as_bytes(std::span(text)).first(text.size() / 2));
    hasher.update(std::as_bytes(std::span(text)).subspan(text.size() / 2));
    return hasher.finish();
  };
  // FIPS 180-4's example, and what `git hash-object` prints.
  EXPECT_EQ(hash({"a", 0, kSha1, kSha256, ""}, "abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash({"a", 0, kSha1, "", ""}, "hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
  EXPECT_EQ(hash({"a", 0, kSha1, "", ""}, ""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

TEST(Quantization, IsReadFromNames) {
  EXPECT_EQ(quantization_of("Llama-3.2-1B-Instruct-Q4_K_M.gguf"), "Q4_K_M");
  EXPECT_EQ(quantization_of("gemma-3-4b-it-q4_0.gguf"), "Q4_0");
  EXPECT_EQ(quantization_of("llama_3_q5_k_s.gguf"), "Q5_K_S");
  EXPECT_EQ(quantization_of("model.Q8_0.gguf"), "Q8_0");
  EXPECT_EQ(quantization_of("Qwen3-8B-UD-Q4_K_XL.gguf"), "UD-Q4_K_XL");
  EXPECT_EQ(quantization_of("x-IQ4_XS.gguf"), "IQ4_XS");
  EXPECT_EQ(quantization_of("gpt-oss-20b-mxfp4.gguf"), "MXFP4");
  EXPECT_EQ(quantization_of("BF16/x-BF16-00001-of-00002.gguf"), "BF16");
  EXPECT_EQ(quantization_of("Q8_0/model-00001-of-00002.gguf"), "Q8_0");
  EXPECT_EQ(quantization_of("m-fp16.gguf"), "F16");
  EXPECT_EQ(quantization_of("Q4_0-to-Q8_0.gguf"), "Q8_0");
  for (const char* name : {"model.gguf", "Qwen2.gguf", "F16x.gguf", "q9_0.gguf", "xQ8_0.gguf", ""})
    EXPECT_EQ(quantization_of(name), "") << name;
}

RepoListing listing_of(const std::vector<std::string>& paths) {
  RepoListing listing{std::string(40, 'c'), {}, true};
  for (const std::string& path : paths) listing.files.push_back({path, 1000, kSha1, kSha256, ""});
  return listing;
}

std::vector<std::string> paths_of(const Result<ModelChoice>& choice) {
  if (!choice) return {"error: " + choice.error().message};
  std::vector<std::string> paths;
  for (const RepoFile& f : choice->files) paths.push_back(f.path);
  return paths;
}

TEST(ChooseFiles, PrefersFourBits) {
  std::vector<std::string> all{"README.md",   "m-F16.gguf",  "m-Q2_K.gguf",        "m-Q4_0.gguf",
                               "config.json", "m-Q8_0.gguf", "mmproj-Q4_K_M.gguf", "m-Q4_K_M.gguf"};
  EXPECT_THAT(paths_of(choose_files(listing_of(all), "")), ElementsAre("m-Q4_K_M.gguf"));
  all.pop_back();
  EXPECT_THAT(paths_of(choose_files(listing_of(all), "")), ElementsAre("m-Q4_0.gguf"));
  EXPECT_EQ(choose_files(listing_of(all), "")->entry, "m-Q4_0.gguf");
  EXPECT_THAT(paths_of(choose_files(listing_of({"m-F16.gguf", "m-Q8_0.gguf"}), "")),
              ElementsAre("m-Q8_0.gguf"));
  EXPECT_THAT(paths_of(choose_files(listing_of({"only.gguf"}), "")), ElementsAre("only.gguf"));
}

TEST(ChooseFiles, ASelectorIsAQuantizationOrAFile) {
  const RepoListing listing =
      listing_of({"README.md", "m-Q4_K_M.gguf", "m-Q8_0.gguf", "m-UD-Q2_K_XL.gguf",
                  "mmproj-F16.gguf", "sub/n-IQ4_XS.gguf"});
  EXPECT_THAT(paths_of(choose_files(listing, "q8_0")), ElementsAre("m-Q8_0.gguf"));
  EXPECT_THAT(paths_of(choose_files(listing, "Q2_K_XL")), ElementsAre("m-UD-Q2_K_XL.gguf"));
  EXPECT_THAT(paths_of(choose_files(listing, "ud-q2_k_xl")), ElementsAre("m-UD-Q2_K_XL.gguf"));
  EXPECT_THAT(paths_of(choose_files(listing, "m-Q8_0.gguf")), ElementsAre("m-Q8_0.gguf"));
  EXPECT_THAT(paths_of(choose_files(listing, "m-q8_0")), ElementsAre("m-Q8_0.gguf"));
  EXPECT_THAT(paths_of(choose_files(listing, "n-IQ4_XS.gguf")), ElementsAre("sub/n-IQ4_XS.gguf"));
  EXPECT_THAT(paths_of(choose_files(listing, "mmproj-F16.gguf")), ElementsAre("mmproj-F16.gguf"));
  EXPECT_THAT(paths_of(choose_files(listing, "README.md")), ElementsAre("README.md"));
  const auto none = choose_files(listing, "Q5_0");
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message,
              AllOf(HasSubstr("'Q5_0'"), HasSubstr("m-Q4_K_M.gguf (1.00 kB)"),
                    HasSubstr("sub/n-IQ4_XS.gguf"), Not(HasSubstr("mmproj"))));
}

TEST(ChooseFiles, AmbiguityListsWhatThereIs) {
  const auto two = choose_files(listing_of({"a-Q4_K_M.gguf", "b-Q4_K_M.gguf"}), "");
  ASSERT_FALSE(two);
  EXPECT_THAT(two.error().message, AllOf(HasSubstr("a-Q4_K_M.gguf"), HasSubstr("b-Q4_K_M.gguf"),
                                         HasSubstr("name the file")));
  const auto unnamed = choose_files(listing_of({"a.gguf", "b.gguf"}), "");
  ASSERT_FALSE(unnamed);
  EXPECT_THAT(unnamed.error().message, AllOf(HasSubstr("a.gguf"), HasSubstr("b.gguf")));
  EXPECT_FALSE(choose_files(listing_of({"a-Q8_0.gguf", "b-Q8_0.gguf"}), "Q8_0"));
}

TEST(ChooseFiles, ShardsComeTogether) {
  const RepoListing listing =
      listing_of({"Q8_0/m-Q8_0-00001-of-00003.gguf", "Q8_0/m-Q8_0-00002-of-00003.gguf",
                  "Q8_0/m-Q8_0-00003-of-00003.gguf", "m-Q6_K-00001-of-00002.gguf"});
  const auto choice = choose_files(listing, "Q8_0");
  EXPECT_THAT(paths_of(choice),
              ElementsAre("Q8_0/m-Q8_0-00001-of-00003.gguf", "Q8_0/m-Q8_0-00002-of-00003.gguf",
                          "Q8_0/m-Q8_0-00003-of-00003.gguf"));
  EXPECT_EQ(choice->entry, "Q8_0/m-Q8_0-00001-of-00003.gguf");
  EXPECT_EQ(paths_of(choose_files(listing, "m-Q8_0-00002-of-00003.gguf")).size(), 3u);
  EXPECT_EQ(paths_of(choose_files(listing, "")).size(), 3u);
  const auto missing = choose_files(listing, "Q6_K");
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("split into 2 files, of which 1 is there"));
}

TEST(ChooseFiles, AFolderIsWhatItsModelNeeds) {
  const RepoListing listing = listing_of(
      {".gitattributes", "README.md", "chat_template.jinja", "config.json",
       "consolidated.safetensors", "generation_config.json", "model-00001-of-00002.safetensors",
       "model-00002-of-00002.safetensors", "model.fp16.safetensors", "model.safetensors.index.json",
       "onnx/model.onnx", "original/params.json", "original/tokenizer.model", "pytorch_model.bin",
       "special_tokens_map.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json"});
  const auto choice = choose_files(listing, "");
  EXPECT_THAT(
      paths_of(choice),
      UnorderedElementsAre("chat_template.jinja", "config.json", "generation_config.json",
                           "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                           "model.safetensors.index.json", "special_tokens_map.json",
                           "tokenizer.json", "tokenizer.model", "tokenizer_config.json"));
  EXPECT_EQ(choice->entry, "");
  EXPECT_THAT(paths_of(choose_files(listing_of({"config.json", "m-Q8_0.gguf", "model.safetensors"}),
                                    "safetensors")),
              UnorderedElementsAre("config.json", "model.safetensors"));
}

TEST(ChooseFiles, ARepositoryWithoutAModelSaysSo) {
  const auto error = [](const std::vector<std::string>& paths) {
    const auto choice = choose_files(listing_of(paths), "");
    return choice ? "" : choice.error().message;
  };
  EXPECT_THAT(error({"README.md"}), HasSubstr("no GGUF file and no config.json"));
  EXPECT_THAT(error({"config.json", "pytorch_model.bin"}), HasSubstr("neither model.safetensors"));
  EXPECT_THAT(
      error({"config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json"}),
      HasSubstr("split into 2 files, of which 1 is there"));
}

TEST(SizeText, HasThreeDigits) {
  EXPECT_EQ(size_text(0), "0 B");
  EXPECT_EQ(size_text(999), "999 B");
  EXPECT_EQ(size_text(1000), "1.00 kB");
  EXPECT_EQ(size_text(12'345'678), "12.3 MB");
  EXPECT_EQ(size_text(999'999), "1.00 MB");
  EXPECT_EQ(size_text(123'456'789'012), "123 GB");
}

}  // namespace
}  // namespace ridgeline::hub
