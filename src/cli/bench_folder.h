// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdlib.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "base/result.h"

namespace halfmoon::cli {

/// A folder that is gone with the object; or none.
class Folder {
 public:
  static Result<Folder> make(const std::string& under) {
    std::string name = under + "/halfmoon-bench-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) return Error{ErrorCode::Io, "cannot make a folder under " + under + ": " + std::strerror(errno) + "; check --scratch"};
    return Folder(std::move(name));
  }
  Folder() = default;
  explicit Folder(std::string path) : path_(std::move(path)) {}
  Folder(Folder&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  Folder& operator=(Folder&&) = delete;
  ~Folder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace halfmoon::cli
