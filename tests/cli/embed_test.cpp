// ridgeline embed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/cli/program.h"
#include "tests/support/random_model.h"
#include "tests/support/recipe_model.h"

namespace ridgeline {
namespace {

using nlohmann::json;
using test::expect_error;
using test::expect_usage_error;
using test::Outcome;
using test::ridgeline;

class Embed : public testing::Test {
 protected:
  void SetUp() override { test::write_recipe_model(encoder_, test::read_recipe("bert")); }
  void TearDown() override { std::remove(encoder_.c_str()); }

  json run(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(), {"embed", "-m", encoder_, "-t", "2", "--json"});
    const Outcome o = ridgeline(arguments, input);
    EXPECT_EQ(o.exit_code, 0) << o.err;
    return json::parse(o.out);
  }
  const std::string encoder_ = test::temporary_path("encoder.gguf");
};

TEST_F(Embed, AVectorForEveryLine) {
  const json two = run({}, "the far bank\r\na grey river\n");
  EXPECT_EQ(two["architecture"], "bert");
  EXPECT_EQ(two["dimensions"], 40);
  EXPECT_EQ(two["pooling"], "mean");
  EXPECT_EQ(two["normalized"], true);
  ASSERT_EQ(two["embeddings"].size(), 2u);
  double squares = 0;
  for (double v : two["embeddings"][0]["embedding"]) squares += v * v;
  EXPECT_NEAR(squares, 1.0, 1e-5);
  const json one = run({"-p", "a grey river"});
  EXPECT_EQ(one["embeddings"][0]["embedding"], two["embeddings"][1]["embedding"]);

  const Outcome plain = ridgeline({"embed", "-m", encoder_, "-p", "a grey river"});
  EXPECT_EQ(plain.exit_code, 0) << plain.err;
  std::istringstream numbers(plain.out);
  for (float v : one["embeddings"][0]["embedding"]) {
    float printed = 0;
    ASSERT_TRUE(numbers >> printed);
    EXPECT_EQ(printed, v);
  }
}

TEST_F(Embed, PoolingAndLengthAreChosen) {
  const json cls = run({"-p", "abc", "--pooling", "cls", "--no-normalize"});
  const json last = run({"-p", "abc", "--pooling", "last", "--no-normalize"});
  EXPECT_EQ(cls["pooling"], "cls");
  EXPECT_EQ(last["pooling"], "last");
  EXPECT_EQ(last["normalized"], false);
  EXPECT_NE(cls["embeddings"], last["embeddings"]);
}

TEST_F(Embed, ErrorsAreSentences) {
  expect_error(ridgeline({"run", "-m", encoder_, "-p", "abc"}),
               "a 'bert' model turns texts into vectors and writes none; `ridgeline embed");
  expect_error(ridgeline({"embed", "-m", encoder_}), "no text");
  expect_error(ridgeline({"embed", "-m", encoder_, "-p", std::string(600, 'x')}),
               "expected 1 to 512");
  expect_usage_error(ridgeline({"embed", "-m", encoder_, "-p", "x", "--pooling", "max"}),
                     "--pooling");
}

}  // namespace
}  // namespace ridgeline
