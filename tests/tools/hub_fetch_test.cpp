// Fetching from a hub that misbehaves, as a person sees it: the model's path, or a sentence.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "ridgeline/tools/hub/fetch_model.h"
#include "tests/support/fake_hub.h"
#include "tests/support/random_model.h"

namespace ridgeline::hub {
namespace {

namespace fs = std::filesystem;
using test::HttpReply;
using test::HttpRequest;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr std::size_t kSegment = 64 << 10;
const std::string kModel = "model-Q4_K_M.gguf";

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool is_download(const HttpRequest& r) { return r.path.find("/resolve/") != std::string::npos; }

class HubFetch : public testing::Test {
 protected:
  void SetUp() override {
    setenv("no_proxy", "*", 1);
    fs::remove_all(folder_);
    settings_.endpoint = server_.url();
    settings_.cache_folder = folder_;
    settings_.token_path = "/home/me/token";
    settings_.backoff = std::chrono::milliseconds(1);
    settings_.segment_bytes = kSegment;
    settings_.jobs = 4;
    hub_.add(kModel, test::noise(10 * kSegment + 77, 1));
  }
  void TearDown() override { fs::remove_all(folder_); }

  Result<std::string> fetch(const std::string& name = "hf:owner/model") {
    notes_.clear();
    const FetchEvents events{[this](const std::string& sentence) { notes_ += sentence + "\n"; },
                             [this](const DownloadProgress& p) { progress_ = p; }};
    return fetch_model(*HubReference::parse(name), settings_, events);
  }
  std::string error(const std::string& name = "hf:owner/model") {
    const auto path = fetch(name);
    return path ? "no error: " + *path : path.error().message;
  }
  /// Is the file of the repository what lies at the path that was returned?
  void expect_fetched(const Result<std::string>& path, const std::string& file = kModel) {
    ASSERT_TRUE(path) << path.error().message;
    EXPECT_EQ(*path, snapshot(file));
    EXPECT_TRUE(read_file(*path) == hub_.content(file));
  }
  std::string snapshot(const std::string& file = "") const {
    return folder_ + "/models--owner--model/snapshots/" + hub_.commit +
           (file.empty() ? "" : "/" + file);
  }
  std::string blob(const std::string& file = kModel) const {
    return folder_ + "/models--owner--model/blobs/" + hub_.file(file).hash();
  }
  std::vector<HttpRequest> downloads() const {
    std::vector<HttpRequest> result;
    for (const HttpRequest& r : server_.requests())
      if (is_download(r)) result.push_back(r);
    return result;
  }
  /// Answers the first `n` downloads otherwise.
  void fault_first(int n, std::function<HttpReply(HttpReply, const HttpRequest&)> change) {
    hub_.fault = [this, n, left = std::make_shared<std::atomic<int>>(n),
                  change](const HttpRequest& r) -> std::optional<HttpReply> {
      if (!is_download(r) || left->fetch_sub(1) <= 0) return std::nullopt;
      return change(good_answer(r), r);
    };
  }
  HttpReply good_answer(const HttpRequest& r) const {
    return hub_.serve(r, r.path.substr(r.path.find(hub_.commit) + hub_.commit.size() + 1));
  }

  const std::string folder_ = test::temporary_path("hub");
  test::FakeHub hub_;
  test::HttpServer server_{[this](const HttpRequest& r) { return hub_(r); }};
  HubSettings settings_;
  std::string notes_;
  DownloadProgress progress_;
};

TEST_F(HubFetch, KeepsFilesAsHuggingfaceHubDoes) {
  expect_fetched(fetch());
  EXPECT_TRUE(read_file(blob()) == hub_.content(kModel));
  EXPECT_EQ(fs::read_symlink(snapshot(kModel)), "../../blobs/" + hub_.file(kModel).hash());
  EXPECT_EQ(read_file(folder_ + "/models--owner--model/refs/main"), hub_.commit);
  EXPECT_TRUE(fs::exists(folder_ + "/models--owner--model/trees/" + hub_.commit + ".json"));
  EXPECT_TRUE(fs::exists(folder_ + "/CACHEDIR.TAG"));
  EXPECT_EQ(progress_.bytes, hub_.content(kModel).size());
  EXPECT_EQ(progress_.bytes_total, progress_.bytes);
  EXPECT_EQ(progress_.files, 1u);
  // The blob and nothing beside it.
  EXPECT_EQ(std::distance(fs::directory_iterator(fs::path(blob()).parent_path()), {}), 1);
  EXPECT_THAT(downloads(), SizeIs(11));
}

TEST_F(HubFetch, WhatIsThereIsNotFetchedAgain) {
  ASSERT_TRUE(fetch());
  server_.forget_requests();
  expect_fetched(fetch());
  EXPECT_THAT(server_.requests(), SizeIs(1));  // where is main?
  server_.forget_requests();
  expect_fetched(fetch("hf:owner/model@" + hub_.commit + ":Q4_K_M"));
  EXPECT_THAT(server_.requests(), IsEmpty());
}

TEST_F(HubFetch, ABlobOfAnotherCommitIsLinked) {
  ASSERT_TRUE(fetch());
  hub_.commit = std::string(40, 'e');
  server_.forget_requests();
  expect_fetched(fetch());
  EXPECT_THAT(downloads(), IsEmpty());
  EXPECT_EQ(read_file(folder_ + "/models--owner--model/refs/main"), hub_.commit);
}

TEST_F(HubFetch, BrokenConnectionsGoOnWhereTheyBroke) {
  settings_.jobs = 1;
  fault_first(3, [](HttpReply reply, const HttpRequest&) {
    reply.body_sent = 1000;
    return reply;
  });
  expect_fetched(fetch());
  const auto requests = downloads();
  ASSERT_THAT(requests, SizeIs(14));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(requests[i].range()->first, i * 1000) << i;
  EXPECT_EQ(requests[4].range()->first, kSegment);
}

TEST_F(HubFetch, ASilentServerIsAskedAgain) {
  fault_first(2, [](HttpReply reply, const HttpRequest&) {
    reply.is_silent = true;
    return reply;
  });
  expect_fetched(fetch());
}

TEST_F(HubFetch, AStalledConnectionIsGivenUp) {
  settings_.jobs = 1;
  settings_.stall_timeout = std::chrono::seconds(1);
  fault_first(1, [](HttpReply reply, const HttpRequest&) {
    reply.body_sent = 50;
    reply.stalls = true;
    return reply;
  });
  expect_fetched(fetch());
  EXPECT_EQ(downloads()[1].range()->first, 50u);
}

TEST_F(HubFetch, TriesAreBoundedAndPartsAreKept) {
  settings_.jobs = 1;
  settings_.attempts = 3;
  fault_first(1000, [](HttpReply reply, const HttpRequest&) {
    reply.body_sent = 1000;
    return reply;
  });
  EXPECT_THAT(error(), AllOf(HasSubstr(kModel), HasSubstr("3 tries"), HasSubstr("goes on")));
  EXPECT_THAT(downloads(), SizeIs(3));
  EXPECT_FALSE(fs::exists(blob()));
  EXPECT_FALSE(fs::exists(snapshot(kModel)));
  hub_.fault = nullptr;
  server_.forget_requests();
  expect_fetched(fetch());
  EXPECT_EQ(progress_.bytes_before, 3000u);
  EXPECT_EQ(downloads().front().range()->first, 3000u);
}

TEST_F(HubFetch, AServerThatIgnoresRangesSendsAllAtOnce) {
  fault_first(1000, [this](HttpReply, const HttpRequest&) {
    return HttpReply{200, {}, hub_.content(kModel)};
  });
  expect_fetched(fetch());
  EXPECT_FALSE(downloads().back().range());
}

TEST_F(HubFetch, AServerThatRefusesRangesSendsAllAtOnce) {
  fault_first(1000, [this](HttpReply, const HttpRequest& r) {
    return r.range() ? HttpReply{416, {}, ""} : HttpReply{200, {}, hub_.content(kModel)};
  });
  expect_fetched(fetch());
}

TEST_F(HubFetch, WithoutRangesABrokenDownloadBeginsAgain) {
  fault_first(
      1000, [this, whole = std::make_shared<std::atomic<int>>(0)](HttpReply, const HttpRequest& r) {
        HttpReply reply{200, {}, hub_.content(kModel)};
        if (!r.range() && whole->fetch_add(1) == 0) reply.body_sent = 3 * kSegment;
        return reply;
      });
  expect_fetched(fetch());
}

TEST_F(HubFetch, WithoutRangesTriesAreBoundedToo) {
  // Every try brings more than what elsewhere counts as progress.
  const std::string big = test::noise(3 << 19, 2);
  hub_.add("big-Q8_0.gguf", big);
  settings_.attempts = 3;
  settings_.jobs = 1;
  fault_first(1000, [&](HttpReply, const HttpRequest&) {
    HttpReply reply{200, {}, big};
    reply.body_sent = 5 << 18;
    return reply;
  });
  EXPECT_THAT(error("hf:owner/model:Q8_0"), HasSubstr("3 tries"));
  EXPECT_THAT(downloads(), SizeIs(4));
  EXPECT_FALSE(downloads().back().range());
}

TEST_F(HubFetch, AnswersOfAnotherRangeAreNotTaken) {
  fault_first(1000, [this](HttpReply reply, const HttpRequest& r) {
    if (r.range()) reply.headers = {{"Content-Range", "bytes 5-9/10"}};
    return reply;
  });
  expect_fetched(fetch());
}

TEST_F(HubFetch, AWrongLengthIsNamed) {
  hub_.add("small-Q8_0.gguf", "short");
  fault_first(1000, [](HttpReply, const HttpRequest&) {
    return HttpReply{200, {}, "something longer"};
  });
  EXPECT_THAT(
      error("hf:owner/model:Q8_0"),
      AllOf(HasSubstr("small-Q8_0.gguf"), HasSubstr("sends 16 bytes"), HasSubstr("says 5")));
  EXPECT_FALSE(fs::exists(snapshot()));
}

TEST_F(HubFetch, DamagedContentIsFetchedOnceMore) {
  settings_.jobs = 1;
  fault_first(1, [](HttpReply reply, const HttpRequest&) {
    reply.body[17] = static_cast<char>(reply.body[17] ^ 1);
    return reply;
  });
  expect_fetched(fetch());
  EXPECT_THAT(downloads(), SizeIs(22));
}

TEST_F(HubFetch, ContentThatStaysDamagedGetsNoName) {
  fault_first(1000, [](HttpReply reply, const HttpRequest&) {
    reply.body[17] = static_cast<char>(reply.body[17] ^ 1);
    return reply;
  });
  EXPECT_THAT(error(), AllOf(HasSubstr(kModel), HasSubstr("damaged"),
                             HasSubstr(hub_.file(kModel).lfs_sha256)));
  EXPECT_FALSE(fs::exists(blob()));
  EXPECT_FALSE(fs::exists(snapshot()));
  EXPECT_TRUE(fs::is_empty(fs::path(blob()).parent_path()));
}

TEST_F(HubFetch, PassingStatusesAreTriedAgain) {
  std::atomic<int> left = 3;
  hub_.fault = [&](const HttpRequest&) -> std::optional<HttpReply> {
    const int n = left--;
    if (n <= 0) return std::nullopt;
    return n % 2 == 0 ? HttpReply{500} : HttpReply{429, {{"Retry-After", "0"}}};
  };
  expect_fetched(fetch());
}

TEST_F(HubFetch, RetryAfterIsWaitedFor) {
  std::atomic<int> left = 1;
  hub_.fault = [&](const HttpRequest&) -> std::optional<HttpReply> {
    if (left-- <= 0) return std::nullopt;
    return HttpReply{429, {{"Retry-After", "1"}}};
  };
  const auto start = std::chrono::steady_clock::now();
  expect_fetched(fetch());
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
}

TEST_F(HubFetch, AServerThatAsksForALongPauseIsNotWaitedFor) {
  hub_.fault = [](const HttpRequest&) { return HttpReply{429, {{"Retry-After", "9000"}}}; };
  EXPECT_THAT(error(), AllOf(HasSubstr("429"), HasSubstr("9000 s")));
  EXPECT_THAT(server_.requests(), SizeIs(1));
}

TEST_F(HubFetch, RefusalsSayWhatToDo) {
  const auto answer = [this](int status, const char* code) {
    hub_.fault = [=](const HttpRequest&) { return HttpReply{status, {{"X-Error-Code", code}}}; };
    return error();
  };
  EXPECT_THAT(answer(401, "RepoNotFound"),
              AllOf(HasSubstr("no such repository, or it is private"), HasSubstr("HF_TOKEN"),
                    HasSubstr("/home/me/token")));
  EXPECT_THAT(answer(401, "GatedRepo"),
              AllOf(HasSubstr("accept them at " + settings_.endpoint + "/owner/model"),
                    HasSubstr("HF_TOKEN")));
  EXPECT_THAT(answer(404, "RepoNotFound"), HasSubstr("owner/model at main: not found"));
  EXPECT_THAT(answer(404, "RevisionNotFound"), HasSubstr("no such revision"));
  EXPECT_THAT(answer(418, ""), HasSubstr("answers with status 418"));
  EXPECT_THAT(server_.requests(), SizeIs(5));  // none was asked twice
  settings_.token = "hf_secret";
  EXPECT_THAT(answer(401, ""),
              AllOf(HasSubstr("does not accept the token"), Not(HasSubstr("hf_s"))));
  EXPECT_THAT(answer(403, "GatedRepo"), HasSubstr("the account of this token has no access"));
}

TEST_F(HubFetch, GatedFilesSayWhatToDo) {
  fault_first(1000, [](HttpReply, const HttpRequest&) {
    return HttpReply{401, {{"X-Error-Code", "GatedRepo"}}, "Access is restricted"};
  });
  EXPECT_THAT(error(), AllOf(HasSubstr(kModel), HasSubstr("accept"), HasSubstr("HF_TOKEN")));
}

TEST_F(HubFetch, RelativeRedirectsAreFollowed) {
  hub_.fault = [this](const HttpRequest& r) -> std::optional<HttpReply> {
    if (r.path.starts_with("/moved/")) return good_answer(r);
    if (!is_download(r)) return std::nullopt;
    return HttpReply{307, {{"Location", "/moved/" + hub_.commit + "/" + kModel}}};
  };
  expect_fetched(fetch());
}

TEST_F(HubFetch, TheTokenStaysWithTheHub) {
  settings_.token = "hf_secret";
  settings_.jobs = 1;
  test::HttpServer cdn([this](const HttpRequest& r) { return hub_.serve(r, kModel); });
  // Another port, and another name of the same server.
  for (const std::string& elsewhere : {cdn.url(), server_.url("localhost")}) {
    fs::remove_all(folder_);
    cdn.forget_requests();
    server_.forget_requests();
    hub_.fault = [&](const HttpRequest& r) -> std::optional<HttpReply> {
      if (r.path == "/cdn") return hub_.serve(r, kModel);
      if (!is_download(r)) return std::nullopt;
      return HttpReply{302, {{"Location", elsewhere + "/cdn?signature=1"}}};
    };
    expect_fetched(fetch());
    std::size_t at_cdn = 0, at_hub = 0;
    std::vector<HttpRequest> requests = server_.requests();
    for (const HttpRequest& r : cdn.requests()) requests.push_back(r);
    for (const HttpRequest& r : requests) {
      const bool is_cdn = r.path == "/cdn";
      ++(is_cdn ? at_cdn : at_hub);
      EXPECT_EQ(r.header("authorization"), is_cdn ? "" : "Bearer hf_secret") << r.path;
    }
    EXPECT_EQ(at_cdn, 11u);
    EXPECT_EQ(at_hub, 3u);  // commit, list, and where the file is: once for all its segments
  }
}

TEST_F(HubFetch, AnAddressThatExpiresIsAskedForAgain) {
  settings_.jobs = 1;
  std::atomic<int> served = 0;
  test::HttpServer cdn(
      [&](const HttpRequest& r) { return served++ == 4 ? HttpReply{403} : hub_.serve(r, kModel); });
  hub_.fault = [&](const HttpRequest& r) -> std::optional<HttpReply> {
    if (!is_download(r)) return std::nullopt;
    return HttpReply{302, {{"Location", cdn.url() + "/x?signature=1"}}};
  };
  expect_fetched(fetch());
}

TEST_F(HubFetch, ARefusalElsewhereIsNotTheHubs) {
  test::HttpServer cdn([](const HttpRequest&) { return HttpReply{403}; });
  hub_.fault = [&](const HttpRequest& r) -> std::optional<HttpReply> {
    if (!is_download(r)) return std::nullopt;
    return HttpReply{302, {{"Location", cdn.url() + "/x?signature=secret"}}};
  };
  EXPECT_THAT(error(),
              AllOf(HasSubstr(cdn.url() + "/x answers with status 403"), Not(HasSubstr("secret"))));
}

TEST_F(HubFetch, RedirectsEnd) {
  hub_.fault = [](const HttpRequest& r) -> std::optional<HttpReply> {
    if (!is_download(r)) return std::nullopt;
    return HttpReply{302, {{"Location", r.path}}};
  };
  EXPECT_THAT(error(), AllOf(HasSubstr(kModel), HasSubstr("redirect")));
  hub_.fault = [](const HttpRequest& r) -> std::optional<HttpReply> {
    if (!is_download(r)) return std::nullopt;
    return HttpReply{302, {{"Location", "file:///etc/passwd"}}};
  };
  EXPECT_THAT(error(), HasSubstr(kModel));
}

TEST_F(HubFetch, ListsHavePages) {
  hub_.page_size = 3;
  for (int i = 0; i < 10; ++i) hub_.add("extra" + std::to_string(i) + ".txt", "x", false);
  const auto listing = list_repo(*HubReference::parse("hf:owner/model"), settings_, {});
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_THAT(listing->files, SizeIs(11));
  expect_fetched(fetch());
}

TEST_F(HubFetch, AnEndlessListIsGivenUp) {
  hub_.fault = [this](const HttpRequest& r) -> std::optional<HttpReply> {
    if (r.path.find("/tree/") == std::string::npos) return std::nullopt;
    return HttpReply{200, {{"Link", "<" + server_.url() + r.path + ">; rel=\"next\""}}, "[]"};
  };
  EXPECT_THAT(error(), HasSubstr("has no end"));
}

TEST_F(HubFetch, AFolderComesWhole) {
  test::FakeHub folder;
  folder.add("config.json", "{}", false);
  folder.add("empty.model", "", false);
  folder.add("model.safetensors", test::noise(3 * kSegment, 2));
  folder.add("tokenizer.json", test::noise(5000, 3), false);
  folder.add("copy.model", test::noise(5000, 3), false);  // the same content
  folder.add("pytorch_model.bin", "unwanted");
  hub_ = folder;
  const auto path = fetch();
  ASSERT_TRUE(path) << path.error().message;
  EXPECT_EQ(*path, snapshot());
  for (const char* name :
       {"config.json", "empty.model", "model.safetensors", "tokenizer.json", "copy.model"})
    EXPECT_TRUE(read_file(*path + "/" + name) == hub_.content(name)) << name;
  EXPECT_FALSE(fs::exists(*path + "/pytorch_model.bin"));
  server_.forget_requests();
  EXPECT_TRUE(fetch("hf:owner/model@" + hub_.commit));
  EXPECT_THAT(server_.requests(), IsEmpty());
}

TEST_F(HubFetch, HostileNamesAreRefused) {
  for (const char* path : {"../../../evil.gguf", "/tmp/evil.gguf", "a/../../evil.gguf"}) {
    test::FakeHub hostile;
    hostile.add(path, "x");
    hub_ = hostile;
    EXPECT_THAT(error(), HasSubstr("cannot be right")) << path;
  }
  EXPECT_FALSE(fs::exists(folder_));
}

TEST_F(HubFetch, AHubThatIsNoneIsNamed) {
  for (const char* body :
       {"<html>Log in to this network</html>", "{}", R"({"sha":"../x"})", "[]"}) {
    hub_.fault = [=](const HttpRequest&) { return HttpReply{200, {}, body}; };
    EXPECT_THAT(error(), HasSubstr("does not answer as a Hugging Face hub does"));
  }
  hub_.fault = [](const HttpRequest& r) -> std::optional<HttpReply> {
    if (r.path.find("/tree/") == std::string::npos) return std::nullopt;
    return HttpReply{200, {}, std::string(33 << 20, ' ')};
  };
  EXPECT_THAT(error(), HasSubstr("longer than 32 MiB"));
}

TEST_F(HubFetch, WhatDoesNotFitIsNotBegun) {
  hub_.fault = [this](const HttpRequest& r) -> std::optional<HttpReply> {
    if (r.path.find("/tree/") == std::string::npos) return std::nullopt;
    const nlohmann::json file{{"type", "file"},
                              {"path", kModel},
                              {"oid", std::string(40, '0')},
                              {"size", std::uint64_t{1} << 50}};
    return HttpReply{200, {}, nlohmann::json::array({file}).dump()};
  };
  EXPECT_THAT(error(), AllOf(HasSubstr("1126 TB are to be downloaded"), HasSubstr("free")));
  EXPECT_THAT(downloads(), IsEmpty());
}

TEST_F(HubFetch, WithoutANetworkTheCacheServes) {
  ASSERT_TRUE(fetch());
  settings_.endpoint = "http://127.0.0.1:1";
  expect_fetched(fetch());
  EXPECT_THAT(notes_,
              AllOf(HasSubstr("cannot reach http://127.0.0.1:1"), HasSubstr("in the cache")));
  EXPECT_THAT(error("hf:owner/model:Q8_0"), HasSubstr("no quantization 'Q8_0'"));
  EXPECT_THAT(error("hf:owner/other"), HasSubstr("cannot reach http://127.0.0.1:1"));
  settings_.endpoint = server_.url();
  hub_.fault = [](const HttpRequest&) { return HttpReply{503}; };
  expect_fetched(fetch());
  EXPECT_THAT(notes_, HasSubstr("503"));
  hub_.fault = [](const HttpRequest&) { return HttpReply{200, {}, "<html>Log in</html>"}; };
  expect_fetched(fetch());
  EXPECT_THAT(notes_, HasSubstr("does not answer as a Hugging Face hub does"));
  hub_.fault = [](const HttpRequest&) { return HttpReply{404, {}, ""}; };
  EXPECT_THAT(error(), HasSubstr("not found"));
}

TEST_F(HubFetch, OfflineAsksNobody) {
  settings_.offline = true;
  EXPECT_THAT(error(), AllOf(HasSubstr("not in the cache"), HasSubstr("HF_HUB_OFFLINE")));
  settings_.offline = false;
  hub_.add("model-Q8_0.gguf", "eight");
  ASSERT_TRUE(fetch("hf:owner/model:Q8_0"));
  settings_.offline = true;
  server_.forget_requests();
  // Q4_K_M would be preferred, but is not here.
  expect_fetched(fetch(), "model-Q8_0.gguf");
  EXPECT_THAT(error("hf:owner/model:Q4_K_M"), HasSubstr("model-Q4_K_M.gguf is not in the cache"));
  // As huggingface_hub before 2.4 leaves it: nobody kept the list.
  fs::remove_all(folder_ + "/models--owner--model/trees");
  expect_fetched(fetch(), "model-Q8_0.gguf");
  EXPECT_THAT(error("hf:owner/model:Q4_0"), HasSubstr("in the cache"));
  EXPECT_THAT(server_.requests(), IsEmpty());
}

TEST_F(HubFetch, TwoAtOnceDownloadOnce) {
  HubSettings other = settings_;
  Result<std::string> second = fail("not run");
  std::thread thread(
      [&] { second = fetch_model(*HubReference::parse("hf:owner/model"), other, FetchEvents{}); });
  const auto first = fetch();
  thread.join();
  expect_fetched(first);
  expect_fetched(second);
  EXPECT_THAT(downloads(), SizeIs(11));
}

TEST_F(HubFetch, AStopKeepsWhatCame) {
  settings_.jobs = 1;
  std::atomic<bool> stop = false;
  settings_.stop = &stop;
  fault_first(
      3, [&, left = std::make_shared<std::atomic<int>>(3)](HttpReply reply, const HttpRequest&) {
        // The third request comes when two segments are there.
        if (--*left > 0) return reply;
        stop = true;
        reply.body_sent = 0;
        reply.stalls = true;
        return reply;
      });
  EXPECT_THAT(error(), AllOf(HasSubstr("interrupted"), HasSubstr("goes on from there")));
  EXPECT_FALSE(fs::exists(blob()));
  EXPECT_FALSE(fs::exists(snapshot()));
  stop = false;
  expect_fetched(fetch());
  EXPECT_EQ(progress_.bytes_before, 2 * kSegment);
}

TEST_F(HubFetch, SettingsComeFromTheEnvironment) {
  const auto with = [](std::map<std::string, std::string> variables) {
    for (const char* name :
         {"HF_ENDPOINT", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE",
          "XDG_CACHE_HOME", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_CACHE",
          "TRANSFORMERS_OFFLINE", "HF_HUB_DOWNLOAD_TIMEOUT"})
      unsetenv(name);
    for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
    return HubSettings::from_environment();
  };
  const std::string home = test::temporary_path("home");
  fs::create_directories(home);
  std::ofstream(home + "/token") << "hf_file\n";
  const auto a = with({{"HF_HOME", home}, {"HF_ENDPOINT", "https://mirror/"}});
  ASSERT_TRUE(a) << a.error().message;
  EXPECT_EQ(a->cache_folder, home + "/hub");
  EXPECT_EQ(a->token, "hf_file");
  EXPECT_EQ(a->endpoint, "https://mirror");
  EXPECT_FALSE(a->offline);
  const auto b = with({{"HF_HOME", home},
                       {"HF_HUB_CACHE", "/cache"},
                       {"HF_TOKEN", " hf_variable \n"},
                       {"HF_HUB_OFFLINE", "yes"}});
  EXPECT_EQ(b->cache_folder, "/cache");
  EXPECT_EQ(b->token, "hf_variable");
  EXPECT_EQ(b->endpoint, "https://huggingface.co");
  EXPECT_TRUE(b->offline);
  EXPECT_EQ(with({{"XDG_CACHE_HOME", "/x"}})->cache_folder, "/x/huggingface/hub");
  EXPECT_THAT(with({{"HF_TOKEN", "a\nb"}}).error().message, HasSubstr("HF_TOKEN"));
  EXPECT_THAT(with({{"HF_ENDPOINT", "ftp://x"}}).error().message, HasSubstr("HF_ENDPOINT ftp://x"));
  EXPECT_THAT(with({{"HF_HUB_DOWNLOAD_TIMEOUT", "0"}}).error().message, HasSubstr("TIMEOUT 0"));
  EXPECT_TRUE(with({}));
  fs::remove_all(home);
}

}  // namespace
}  // namespace ridgeline::hub
