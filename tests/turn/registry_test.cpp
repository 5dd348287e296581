#include <doctest/doctest.h>

#include <weft/turn/registry.hpp>

namespace turn = weft::turn;
namespace stun = weft::stun;

TEST_SUITE("turn/registry") {
  TEST_CASE("RFC 8656 §17, RFC 6062 §6.1: methods have IANA's numbers and names") {
    using namespace turn::methods;
    const std::pair<stun::method, std::string_view> all[] = {
        {allocate, "Allocate"},
        {refresh, "Refresh"},
        {send, "Send"},
        {data, "Data"},
        {create_permission, "CreatePermission"},
        {channel_bind, "ChannelBind"},
        {connect, "Connect"},
        {connection_bind, "ConnectionBind"},
        {connection_attempt, "ConnectionAttempt"},
        {stun::method::binding, "Binding"},
    };
    for (const auto& [method, name] : all) CHECK(turn::name_of(method) == name);
    CHECK(static_cast<int>(allocate) == 3);
    CHECK(static_cast<int>(refresh) == 4);
    CHECK(static_cast<int>(send) == 6);
    CHECK(static_cast<int>(connection_attempt) == 0xc);
    CHECK(turn::name_of(stun::method{0x005}).empty());
  }

  TEST_CASE("RFC 8656 §18, RFC 6062 §6.2, RFC 8016 §6: attributes have IANA's numbers and names") {
    const std::pair<int, std::string_view> all[] = {
        {0x000c, "CHANNEL-NUMBER"},      {0x000d, "LIFETIME"},
        {0x0012, "XOR-PEER-ADDRESS"},    {0x0013, "DATA"},
        {0x0016, "XOR-RELAYED-ADDRESS"}, {0x0017, "REQUESTED-ADDRESS-FAMILY"},
        {0x0018, "EVEN-PORT"},           {0x0019, "REQUESTED-TRANSPORT"},
        {0x001a, "DONT-FRAGMENT"},       {0x0022, "RESERVATION-TOKEN"},
        {0x002a, "CONNECTION-ID"},       {0x8000, "ADDITIONAL-ADDRESS-FAMILY"},
        {0x8001, "ADDRESS-ERROR-CODE"},  {0x8004, "ICMP"},
        {0x8030, "MOBILITY-TICKET"},     {0x0006, "USERNAME"},
    };
    for (const auto& [number, name] : all)
      CHECK(turn::name_of(static_cast<stun::attribute_type>(number)) == name);
    CHECK(turn::name_of(stun::attribute_type{0x0010}).empty());
  }

  TEST_CASE("RFC 8656 §19, RFC 6062 §6.3, RFC 8016 §3.4: error codes have IANA's names") {
    using namespace turn::errors;
    CHECK(turn::name_of(forbidden) == "Forbidden");
    CHECK(turn::name_of(mobility_forbidden) == "Mobility Forbidden");
    CHECK(turn::name_of(allocation_mismatch) == "Allocation Mismatch");
    CHECK(turn::name_of(address_family_not_supported) == "Address Family not Supported");
    CHECK(turn::name_of(wrong_credentials) == "Wrong Credentials");
    CHECK(turn::name_of(unsupported_transport_protocol) == "Unsupported Transport Protocol");
    CHECK(turn::name_of(peer_address_family_mismatch) == "Peer Address Family Mismatch");
    CHECK(turn::name_of(connection_already_exists) == "Connection Already Exists");
    CHECK(turn::name_of(connection_timeout_or_failure) == "Connection Timeout or Failure");
    CHECK(turn::name_of(allocation_quota_reached) == "Allocation Quota Reached");
    CHECK(turn::name_of(insufficient_capacity) == "Insufficient Capacity");
    CHECK(turn::name_of(stun::error_code::stale_nonce) == "Stale Nonce");
    CHECK(turn::name_of(stun::error_code{699}).empty());
  }
}
