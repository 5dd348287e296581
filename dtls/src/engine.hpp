#ifndef WEFT_DTLS_ENGINE_HPP
#define WEFT_DTLS_ENGINE_HPP

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <weft/core/time.hpp>
#include <weft/dtls/session.hpp>

#include "packet_queue.hpp"

// OpenSSL's types by name only.
struct bio_method_st;
struct bio_st;
struct ssl_st;

namespace weft::dtls {

/// One handshake from its first message, and the records after it: all that a session asks
/// of a TLS library, and what another library would have to define. Whether the peer's
/// certificate is the right one is not its business.
///
/// It is fed one record at a time, by a session that has taken out what a forger could use
/// (alerts and data in the clear, records of other epochs).
class engine {
 public:
  enum class status : std::uint8_t {
    handshaking,
    established,
    closed,      ///< The peer sent close_notify.
    spoiled,     ///< The handshake cannot be completed any more.
    peer_alert,  ///< After `established`: the peer sent a fatal alert.
    violation,   ///< After `established`: the peer broke the protocol.
  };

  /// Counts into `stats`, which outlives it.
  engine(const certificate& identity, const session::options& opts, session::counters& stats);
  engine(const engine&) = delete;  // The library holds its address.
  engine& operator=(const engine&) = delete;
  ~engine();

  /// A client's ClientHello becomes due.
  void start(time_point now);
  void input(time_point now, const_bytes record);
  void handle_timeout(time_point now);
  std::optional<time_point> poll_timeout() const noexcept { return deadline_; }

  status current_status() const noexcept { return status_; }
  /// Whether the peer's ChangeCipherSpec comes next. At any other time it would be lost.
  bool expects_change_cipher_spec() const noexcept;
  /// Whether it has come, and encrypted handshake records can be taken.
  bool expects_encrypted() const noexcept;

  /// Datagrams to send.
  packet_queue& output() noexcept { return output_; }
  /// Application records that `input` has decrypted.
  packet_queue& received() noexcept { return received_; }

  // Once established:

  result<const_bytes, error> protect(const_bytes plaintext, mutable_bytes buffer);
  /// close_notify becomes due.
  void shut_down();
  result<std::vector<std::uint8_t>, error> export_keying_material(std::string_view label,
                                                                  std::size_t size) const;
  std::optional<srtp_profile> negotiated_srtp_profile() const noexcept;
  /// The peer's own first.
  std::vector<std::vector<std::uint8_t>> remote_certificates() const;
  std::string_view cipher_suite() const noexcept;

 private:
  struct binding;  // The library's calls back.
  struct release {
    void operator()(ssl_st* ssl) const noexcept;
    void operator()(bio_method_st* method) const noexcept;
  };

  bool configure(const session::options& opts);
  void listen();
  void renumber(mutable_bytes record);
  void step();
  void read(const_bytes record);
  void conclude(int returned);
  void set_deadline(time_point now);

  session::counters& stats_;
  duration initial_wait_;
  duration longest_wait_;
  duration wait_{};  // Of the flight that is waiting for an answer.
  std::size_t mtu_;
  unsigned max_repeats_;
  packet_queue output_;
  packet_queue received_;
  const_bytes input_;        // What the library reads next, once.
  mutable_bytes record_to_;  // Where it writes an application record.
  std::size_t record_size_ = 0;
  std::uint64_t plaintext_records_ = 0;  // That were read.
  unsigned repeats_ = 0;                 // Of the flight that is waiting for an answer.
  unsigned final_repeats_ = 0;           // Of the one that needed none.
  bool wrote_ = false;
  bool awaits_cookie_ = false;  // The first record is a ClientHello with one.
  bool asks_for_certificate_ = true;
  std::optional<time_point> deadline_;
  status status_ = status::handshaking;
  std::unique_ptr<bio_method_st, release> method_;
  std::unique_ptr<ssl_st, release> ssl_;
};

}  // namespace weft::dtls

#endif  // WEFT_DTLS_ENGINE_HPP
