// SPDX-License-Identifier: Apache-2.0
#include "server/settings.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <set>

#include "server/known_keys.h"

namespace halfmoon::server {
namespace {

constexpr std::string_view kPrefix = "HALFMOON_";
constexpr std::int64_t kHeaderRoom = 64 << 10;   // in a frame, beside the body

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "1s 5m 2h 1d" in milliseconds; nullopt if malformed or empty.
std::optional<std::vector<std::int64_t>> parse_levels(std::string_view text) {
  std::vector<std::int64_t> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty()) continue;
    const auto number = parse_integer(word.substr(0, word.size() - 1));
    std::int64_t unit = 0;
    switch (word.back()) {
      case 's': unit = 1000; break;
      case 'm': unit = 60 * 1000; break;
      case 'h': unit = 3600 * 1000; break;
      case 'd': unit = 24 * 3600 * 1000; break;
      default: return std::nullopt;
    }
    if (!number || *number < 0 || *number > 366LL * 24 * 3600 || out.size() >= 64) return std::nullopt;
    out.push_back(*number * unit);
  }
  if (out.empty()) return std::nullopt;
  return out;
}

int edit_distance(std::string_view a, std::string_view b) {
  std::vector<int> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const int above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

/// Sets the member; returns what is wrong with the value, or nothing.
std::string set_value(Settings& settings, const KnownKey& key, const std::string& value) {
  if (const auto* text = std::get_if<std::string Settings::*>(&key.member)) {
    if (key.name == "messageDelayLevel") {
      if (!parse_levels(value)) return "must be up to 64 numbers with s, m, h or d, separated by blanks, as in 1s 5s 10s 30s 1m";
    } else if (key.name == "logFormat" || key.name == "logLevel" || key.name == "transactionCheckProfile" || key.name == "flushDiskType") {
      if (!is_one_of(key.unit, value)) return "must be one of " + std::string(key.unit);
    } else if (value.empty() && key.name != "namesrvAddr" && key.name != "storePathRootDir") {
      return "must not be empty; leave the key out for " + default_text(key);
    }
    settings.*(*text) = value;
    return "";
  }
  if (const auto* yes = std::get_if<bool Settings::*>(&key.member)) {
    const std::string word = lower(value);
    if (word != "true" && word != "false") return "must be true or false";
    settings.*(*yes) = word == "true";
    return "";
  }
  const auto number = parse_integer(value);
  if (!number || *number < key.least || *number > key.most)
    return "must be a whole number, " + range_text(key) + (key.unit.empty() ? "" : " (" + std::string(key.unit) + ")");
  settings.*std::get<std::int64_t Settings::*>(key.member) = *number;
  return "";
}

class Loader {
 public:
  void take(const Property& property, const std::string& where) {
    Finding finding{Severity::Used, where, property.key, property.value, ""};
    if (const KnownKey* known = find_known_key(property.key)) {
      const std::string wrong = set_value(out_.settings, *known, property.value);
      if (!wrong.empty()) {
        finding.severity = Severity::Bad;
        finding.text = wrong;
      }
      set_at_[std::string(known->name)] = where;
    } else if (const RefusedKey* refused = find_refused_key(property.key)) {
      const bool harmless = is_one_of(refused->harmless, property.value);
      finding.severity = harmless ? Severity::NoEffect : Severity::Refused;
      finding.text = harmless ? "as it is here anyway" : std::string(refused->why);
    } else if (const IdleKey* idle = find_idle_key(property.key)) {
      finding.severity = Severity::NoEffect;
      finding.text = idle->why;
    } else {
      finding.severity = Severity::Warning;
      const std::string near = nearest_key(property.key);
      finding.text = "unknown key, ignored" + (near.empty() ? "; `halfmoon config keys` lists all" : "; did you mean " + near + "?");
    }
    out_.findings.push_back(std::move(finding));
  }

  /// What only shows when all keys are known.
  void check_together() {
    Settings& s = out_.settings;
    const auto bad = [&](const char* key, const std::string& value, const std::string& text) {
      const auto it = set_at_.find(key);
      out_.findings.push_back({Severity::Bad, it == set_at_.end() ? "default" : it->second, key, value, text});
    };
    if (s.listen_port != 0 && s.listen_port == s.namesrv_listen_port)
      bad("listenPort", std::to_string(s.listen_port), "is the name server's port too; give listenPort or namesrvListenPort another value");
    if ((s.tail_buffer_bytes & (s.tail_buffer_bytes - 1)) != 0)
      bad("tailBufferBytes", std::to_string(s.tail_buffer_bytes), "must be a power of two, for example 67108864");
    else if (s.message_bytes_max > s.tail_buffer_bytes / 4 - (64 << 10))
      bad("maxMessageSize", std::to_string(s.message_bytes_max), "does not fit in a quarter of tailBufferBytes less 64 KiB; raise tailBufferBytes to a power of two of at least " + std::to_string((s.message_bytes_max + (64 << 10)) * 4));
    if (s.frame_bytes_max < s.message_bytes_max + kHeaderRoom)
      bad("maxFrameBytes", std::to_string(s.frame_bytes_max), "is too small for a message of maxMessageSize; set it to at least " + std::to_string(s.message_bytes_max + kHeaderRoom));
    if (s.answer_pause_bytes > s.answer_bytes_max)
      bad("answerPauseBytes", std::to_string(s.answer_pause_bytes), "is above maxAnswerBytes; lower it, or raise that one");
    s.segment_bytes = (s.segment_bytes + 4095) / 4096 * 4096;
    if (s.segment_bytes < s.message_bytes_max + (128 << 10))
      bad("mappedFileSizeCommitLog", std::to_string(s.segment_bytes), "is too small for a message of maxMessageSize; set it to at least " + std::to_string(s.message_bytes_max + (128 << 10)));
    apply_transaction_profile();
    if (const std::string others = other_name_servers(); !others.empty()) {
      const auto it = set_at_.find("namesrvAddr");
      out_.findings.push_back({Severity::Warning, it == set_at_.end() ? "default" : it->second, "namesrvAddr", s.namesrv_addr,
                               "the broker is not registered at " + others + ": this release registers with its own name server only. Point clients at this process's port " + std::to_string(s.namesrv_listen_port)});
    }
  }
  LoadedSettings take_result() { return std::move(out_); }

 private:
  /// The profile's value of each key that nobody set.
  void apply_transaction_profile() {
    Settings& s = out_.settings;
    const auto keep_or = [&](const char* key, std::int64_t& value, std::int64_t of_profile) {
      if (!set_at_.contains(key)) value = of_profile;
    };
    if (s.http_transactions()) {
      keep_or("transactionTimeOut", s.transaction_timeout_ms, 10'000);
      keep_or("transactionCheckInterval", s.transaction_interval_ms, 10'000);
      keep_or("transactionCheckMax", s.transaction_check_max, 0);
      keep_or("transactionCheckMaxAgeSeconds", s.transaction_check_max_age_s, 24 * 3600);
    }
    for (Finding& f : out_.findings) {
      if (f.key != "transactionCheckProfile" || f.severity != Severity::Used) continue;
      f.text = "in all: transactionTimeOut=" + std::to_string(s.transaction_timeout_ms) + ", transactionCheckInterval=" + std::to_string(s.transaction_interval_ms) +
               ", transactionCheckMax=" + std::to_string(s.transaction_check_max) + ", transactionCheckMaxAgeSeconds=" + std::to_string(s.transaction_check_max_age_s);
    }
  }
  /// Entries of namesrvAddr that are not this process's own name server.
  std::string other_name_servers() const {
    std::string others;
    std::string_view left = out_.settings.namesrv_addr;
    while (!left.empty()) {
      const std::size_t end = std::min(left.find(';'), left.size());
      const std::string_view entry = left.substr(0, end);
      left.remove_prefix(std::min(end + 1, left.size()));
      const std::size_t colon = entry.rfind(':');
      const std::string_view host = entry.substr(0, colon);
      const bool own_host = host == "127.0.0.1" || host == "localhost" || host == "::1" || host == "[::1]" || host == out_.settings.broker_ip1 || host == out_.settings.bind_address;
      const bool own_port = colon != std::string_view::npos && parse_integer(entry.substr(colon + 1)) == out_.settings.namesrv_listen_port;
      if (entry.empty() || (own_host && own_port)) continue;
      others += (others.empty() ? "" : ", ") + std::string(entry);
    }
    return others;
  }
  LoadedSettings out_;
  std::map<std::string, std::string> set_at_;
};

}  // namespace

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::Used: return "used";
    case Severity::NoEffect: return "no effect";
    case Severity::Warning: return "warning";
    case Severity::Refused: return "refused";
    case Severity::Bad: return "bad value";
  }
  return "";
}

std::string Settings::data_directory() const {
  if (!store_path.empty()) return store_path;
  const char* home = std::getenv("HOME");
  return home && *home ? std::string(home) + "/halfmoon-data" : "halfmoon-data";
}

std::vector<std::int64_t> Settings::delay_levels_ms() const { return parse_levels(delay_levels).value_or(std::vector<std::int64_t>{}); }

bool LoadedSettings::usable() const {
  return std::none_of(findings.begin(), findings.end(), [](const Finding& f) { return f.severity == Severity::Bad || f.severity == Severity::Refused; });
}

std::string environment_name(std::string_view key) {
  std::string out(kPrefix);
  for (std::size_t i = 0; i < key.size(); ++i) {
    const bool word_begins = i > 0 && is_upper(key[i]) && (is_lower(key[i - 1]) || (i + 1 < key.size() && is_lower(key[i + 1])));
    if (word_begins) out += '_';
    out += static_cast<char>(std::toupper(static_cast<unsigned char>(key[i])));
  }
  return out;
}

std::string nearest_key(std::string_view unknown) {
  constexpr std::size_t kKeyBytesMax = 64;  // longer than any key; comparing takes time with the length
  if (unknown.size() > kKeyBytesMax) return "";
  const std::string wanted = lower(unknown);
  std::string_view best;
  int least = std::max<int>(2, static_cast<int>(unknown.size()) / 3) + 1;
  for (std::string_view name : all_key_names()) {
    const int distance = edit_distance(wanted, lower(name));
    if (distance < least) {
      least = distance;
      best = name;
    }
  }
  return std::string(best);
}

LoadedSettings load_settings(const SettingSources& sources) {
  Loader loader;
  for (const Property& p : sources.file) loader.take(p, sources.file_name + ":" + std::to_string(p.line));
  const auto from_environment = [&](std::string_view key, const std::string& variable) {
    const auto it = sources.environment.find(variable);
    if (it != sources.environment.end()) loader.take({std::string(key), it->second, 0}, variable);
  };
  from_environment("namesrvAddr", "NAMESRV_ADDR");
  for (const KnownKey& key : known_keys()) from_environment(key.name, environment_name(key.name));
  for (const RefusedKey& key : refused_keys()) from_environment(key.name, environment_name(key.name));
  for (const Property& p : sources.command_line) loader.take(p, "command line");
  loader.check_together();
  return loader.take_result();
}

std::vector<std::pair<std::string, std::string>> effective_values(const Settings& settings) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const KnownKey& key : known_keys()) {
    std::string value;
    if (const auto* text = std::get_if<std::string Settings::*>(&key.member)) value = settings.*(*text);
    else if (const auto* yes = std::get_if<bool Settings::*>(&key.member)) value = settings.*(*yes) ? "true" : "false";
    else value = std::to_string(settings.*std::get<std::int64_t Settings::*>(key.member));
    if (key.name == "storePathRootDir") value = settings.data_directory();
    out.emplace_back(key.name, std::move(value));
  }
  return out;
}

}  // namespace halfmoon::server
