#include <doctest/doctest.h>

#include <array>
#include <vector>

#include <weft/turn/channel_data.hpp>

using namespace weft::turn;

TEST_SUITE("turn/channel_data") {
  TEST_CASE("RFC 8656 §12.4: a header says channel and length") {
    std::array<std::uint8_t, 7> message{0, 0, 0, 0, 'a', 'b', 'c'};
    write_channel_header(std::span{message}.first<4>(), 0x4abc, 3);
    const auto view = channel_data_view::parse(message);
    REQUIRE(view);
    CHECK(view->channel == 0x4abc);
    CHECK(weft::as_text(view->data) == "abc");
    CHECK(view->data.data() == message.data() + 4);
  }

  TEST_CASE("RFC 8656 §12.4: no data is data too") {
    const std::uint8_t message[] = {0x40, 0, 0, 0};
    const auto view = channel_data_view::parse(message);
    REQUIRE(view);
    CHECK(view->data.empty());
  }

  TEST_CASE("RFC 8656 §12.5: padding may follow over UDP") {
    const std::uint8_t message[] = {0x40, 0, 0, 1, 'a', 0, 0, 0};
    const auto view = channel_data_view::parse(message);
    REQUIRE(view);
    CHECK(view->data.size() == 1);
  }

  TEST_CASE("RFC 8656 §12.6: what is shorter than it claims is not taken") {
    const std::uint8_t message[] = {0x40, 0, 0, 5, 'a', 'b', 'c', 'd'};
    CHECK_FALSE(channel_data_view::parse(message));
    for (std::size_t size = 0; size < 4; ++size)
      CHECK_FALSE(channel_data_view::parse(weft::const_bytes{message}.first(size)));
  }

  TEST_CASE("RFC 5766 §11: channels may have the numbers 0x4000 to 0x7fff") {
    for (unsigned first = 0; first < 256; ++first) {
      const std::uint8_t message[] = {static_cast<std::uint8_t>(first), 0, 0, 0};
      CHECK(channel_data_view::parse(message).has_value() == (first >= 0x40 && first <= 0x7f));
      const auto number = static_cast<std::uint16_t>(first << 8 | 0xff);
      CHECK(is_channel_number(number) == (first >= 0x40 && first <= 0x7f));
    }
  }

  TEST_CASE("RFC 8656 §12.5: over TCP messages are padded to four bytes") {
    CHECK(padded_channel_data_size(0) == 4);
    CHECK(padded_channel_data_size(1) == 8);
    CHECK(padded_channel_data_size(4) == 8);
    CHECK(padded_channel_data_size(65535) == 65540);
  }
}
