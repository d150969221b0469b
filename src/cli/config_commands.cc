// SPDX-License-Identifier: Apache-2.0
#include "cli/config_commands.h"

#include <string_view>

#include "server/known_keys.h"

namespace halfmoon::cli {
namespace {

std::string shown_default(const server::KnownKey& key) {
  if (key.name == "storePathRootDir") return "$HOME/halfmoon-data";
  const std::string text = server::default_text(key);
  return text.empty() ? "(none)" : text;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string keys_as_text() {
  std::string out, section;
  for (const server::KnownKey& key : server::known_keys()) {
    if (section != key.section) {
      section = key.section;
      out += (out.empty() ? "" : "\n") + section + "\n";
    }
    const std::string range = server::range_text(key);
    out += "\n  " + std::string(key.name) + " = " + shown_default(key) + "   [" + std::string(key.unit) + (range.empty() ? "" : ", " + range) + "]\n";
    out += "      " + std::string(key.help) + "\n";
    if (!key.cost.empty()) out += "      " + std::string(key.cost) + "\n";
  }
  out += "\nEach key can stand in a properties file (-c), in the environment (listenPort: " + server::environment_name("listenPort") +
         "), or on the command line (--set listenPort=10911); the later of these wins.\n";
  return out;
}

std::string keys_as_markdown() {
  std::string out, section;
  for (const server::KnownKey& key : server::known_keys()) {
    if (section != key.section) {
      section = key.section;
      out += "\n### " + section + "\n\n| key | default | unit, range | what it does | what it costs |\n|---|---|---|---|---|\n";
    }
    const std::string range = server::range_text(key);
    out += "| `" + std::string(key.name) + "` | `" + shown_default(key) + "` | " + escaped(key.unit) + (range.empty() ? "" : ", " + range) + " | " + escaped(key.help) + " | " + escaped(key.cost) + " |\n";
  }
  out += "\n### Keys that stop the start\n\n| key | is accepted as | else |\n|---|---|---|\n";
  for (const server::RefusedKey& key : server::refused_keys()) out += "| `" + std::string(key.name) + "` | `" + escaped(key.harmless) + "` | " + escaped(key.why) + " |\n";
  return out;
}

}  // namespace halfmoon::cli
