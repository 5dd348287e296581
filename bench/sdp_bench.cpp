// Parsing, reading and writing a Chromium offer of 9.5 KB.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>
#include <weft/sdp/builder.hpp>
#include <weft/sdp/candidate.hpp>
#include <weft/sdp/description.hpp>

namespace {

using namespace weft::sdp;

std::string offer_text() {
  std::ifstream file{WEFT_SDP_BENCH_OFFER, std::ios::binary};
  std::string text{std::istreambuf_iterator<char>{file}, {}};
  if (text.empty()) std::abort();
  return text;
}

void parse(benchmark::State& state) {
  const std::string text = offer_text();
  for (auto _ : state) {
    auto d = session_description::parse(text);
    benchmark::DoNotOptimize(d);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}

/// Parses, judges every value, and reads what a peer needs of each section.
void parse_typed(benchmark::State& state) {
  const std::string text = offer_text();
  for (auto _ : state) {
    const auto d = session_description::parse(text);
    benchmark::DoNotOptimize(check_values(*d));
    benchmark::DoNotOptimize(d->session().get<group>());
    for (std::size_t i = 0; i < d->media_count(); ++i) {
      const media_section m = d->media(i);
      benchmark::DoNotOptimize(m.mid());
      benchmark::DoNotOptimize(m.direction());
      benchmark::DoNotOptimize(m.get<ice_ufrag>());
      benchmark::DoNotOptimize(m.get<ice_pwd>());
      benchmark::DoNotOptimize(m.get<ice_options>());
      benchmark::DoNotOptimize(m.get<fingerprint>());
      benchmark::DoNotOptimize(m.get<setup>());
      benchmark::DoNotOptimize(m.get_all<candidate>());
      benchmark::DoNotOptimize(m.get_all<rtpmap>());
    }
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}

/// Builds the whole offer anew from the names and values of its lines.
void write(benchmark::State& state) {
  const std::string text = offer_text();
  const auto d = session_description::parse(text);
  struct item {
    line whole;
    attribute split;
  };
  std::vector<item> items;
  const auto collect = [&](const section& s) {
    for (std::size_t i = 0; i < s.size(); ++i)
      items.push_back({s[i], s.attribute_at(i).value_or(attribute{})});
  };
  collect(d->session());
  for (std::size_t i = 0; i < d->media_count(); ++i) collect(d->media(i));
  const origin o = d->origin();

  for (auto _ : state) {
    builder b{o};
    // The builder writes the first four itself.
    for (std::size_t i = 4; i < items.size(); ++i) {
      const item& it = items[i];
      if (it.whole.type != 'a') {
        b.raw(it.whole.type, it.whole.value);
      } else if (it.split.has_value) {
        b.attribute(it.split.name, it.split.value);
      } else {
        b.flag(it.split.name);
      }
    }
    auto built = std::move(b).finish();
    if (!built || built->text() != text) state.SkipWithError("another text");
    benchmark::DoNotOptimize(built);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}

void copy_out(benchmark::State& state) {
  const auto d = session_description::parse(offer_text());
  for (auto _ : state) {
    std::string out;
    d->write(out);
    benchmark::DoNotOptimize(out);
  }
}

}  // namespace

BENCHMARK(parse)->Name("sdp/parse/9500/weft");
BENCHMARK(parse_typed)->Name("sdp/parse-typed/9500/weft");
BENCHMARK(write)->Name("sdp/write/9500/weft");
BENCHMARK(copy_out)->Name("sdp/to-string/9500/weft");
