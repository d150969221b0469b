// SPDX-License-Identifier: Apache-2.0
// Configuration file: whatever it says, loading names each key once and says whether a start is possible; what a usable file sets can be
// written down, and read from there sets the same.
#include <string>

#include "base/check.h"
#include "server/settings.h"
#include "testkit/fuzz_input.h"

namespace {

using namespace halfmoon;
using namespace halfmoon::server;

/// As java.util.Properties would store it: everything that could be taken for syntax is escaped.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '\t': out += "\\t"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\f': out += "\\f"; break;
      case ' ':
      case '=':
      case ':':
      case '#':
      case '!':
      case '\\':
        out += '\\';
        out += c;
        break;
      default: out += c;
    }
  }
  return out;
}

LoadedSettings load(std::vector<Property> file) {
  SettingSources sources;
  sources.file_name = "broker.conf";
  sources.file = std::move(file);
  return load_settings(sources);
}

void check_written(const std::vector<Property>& properties) {
  std::string text;
  for (const Property& property : properties) text += escaped(property.key) + "=" + escaped(property.value) + "\n";
  const auto again = parse_properties(text);
  HM_CHECK(again.ok() && again->size() == properties.size());
  for (std::size_t i = 0; i < properties.size(); ++i) {
    HM_CHECK((*again)[i].key == properties[i].key && (*again)[i].value == properties[i].value);
    HM_CHECK((*again)[i].line == static_cast<int>(i) + 1);
  }
}

}  // namespace

HM_FUZZ_TARGET() {
  const auto properties = parse_properties(input.rest());
  if (!properties.ok()) {
    HM_CHECK(properties.error().code == ErrorCode::InvalidArgument && properties.error().text.starts_with("line "));
    return;
  }
  int line = 0;
  for (const Property& property : *properties) {
    HM_CHECK(!property.key.empty() && property.line > line);
    line = property.line;
  }
  check_written(*properties);
  const LoadedSettings loaded = load(*properties);
  HM_CHECK(loaded.findings.size() >= properties->size());
  for (const Finding& finding : loaded.findings) HM_CHECK(finding.severity == Severity::Used || !finding.text.empty());
  const auto effective = effective_values(loaded.settings);
  if (!loaded.usable()) return;
  HM_CHECK(!loaded.settings.delay_levels_ms().empty());
  std::vector<Property> written;
  for (const auto& [key, value] : effective) written.push_back({key, value, static_cast<int>(written.size()) + 1});
  const LoadedSettings second = load(written);
  HM_CHECK(second.usable() && effective_values(second.settings) == effective);
}
