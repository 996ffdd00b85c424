// The values of a JSON document, as far as model.json needs them.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

struct Json {
  bool is_null = false;
  double number = 0;
  std::string text;                     // of a string, in UTF-8
  std::vector<Json> items;              // of a list
  std::map<std::string, Json> members;  // of an object

  bool has(const std::string& name) const { return members.count(name) > 0; }
  const Json& at(const std::string& name) const {
    const auto found = members.find(name);
    if (found == members.end()) throw std::runtime_error("model.json has no " + name);
    return found->second;
  }
};

class JsonReader {
 public:
  explicit JsonReader(const std::string& document) : document_(document) {}

  Json read() {
    const Json value = read_value();
    if (next() != '\0') fail();
    return value;
  }

 private:
  Json read_value() {
    Json value;
    switch (next()) {
      case '{':
        for (skip('{'); next() != '}'; skip_comma('}')) {
          const std::string name = read_text();
          skip(':');
          value.members[name] = read_value();
        }
        skip('}');
        return value;
      case '[':
        for (skip('['); next() != ']'; skip_comma(']')) value.items.push_back(read_value());
        skip(']');
        return value;
      case '"': value.text = read_text(); return value;
      case 'n': skip_word("null"); value.is_null = true; return value;
      case 't': skip_word("true"); value.number = 1; return value;
      case 'f': skip_word("false"); return value;
      default: return read_number();
    }
  }

  Json read_number() {
    Json value;
    char* end = nullptr;
    value.number = std::strtod(document_.c_str() + at_, &end);
    const size_t stop = static_cast<size_t>(end - document_.c_str());
    if (stop == at_) fail();
    at_ = stop;
    return value;
  }

  std::string read_text() {
    std::string text;
    for (skip('"'); at_ < document_.size() && document_[at_] != '"'; ++at_) {
      if (document_[at_] != '\\') {
        text += document_[at_];
        continue;
      }
      const std::string marks = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
      const char mark = ++at_ < document_.size() ? document_[at_] : '\0';
      if (mark == 'u') {
        append(text, read_code());
      } else if (marks.find(mark) != std::string::npos) {
        text += meanings[marks.find(mark)];
      } else {
        fail();
      }
    }
    skip('"');
    return text;
  }

  uint32_t read_code() {  // at the u of \uXXXX; of a pair, both
    uint32_t code = read_four();
    if (code >= 0xD800 && code < 0xDC00 && document_.compare(at_ + 1, 2, "\\u") == 0) {
      at_ += 2;
      code = 0x10000 + ((code - 0xD800) << 10) + (read_four() - 0xDC00);
    }
    return code;
  }

  uint32_t read_four() {
    if (at_ + 4 >= document_.size()) fail();
    const uint32_t code = static_cast<uint32_t>(std::stoul(document_.substr(at_ + 1, 4), nullptr, 16));
    at_ += 4;
    return code;
  }

  static void append(std::string& text, uint32_t code) {
    if (code < 0x80) {
      text += static_cast<char>(code);
      return;
    }
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    text += static_cast<char>(((0xFF00 >> (more + 1)) & 0xFF) | code >> 6 * more);
    for (int place = more - 1; place >= 0; --place) text += static_cast<char>(0x80 | (code >> 6 * place & 0x3F));
  }

  char next() {
    at_ = std::min(document_.find_first_not_of(" \t\r\n", at_), document_.size());
    return at_ < document_.size() ? document_[at_] : '\0';
  }
  void skip(char mark) {
    if (next() != mark) fail();
    ++at_;
  }
  void skip_comma(char end) {
    if (next() != end) skip(',');
  }
  void skip_word(const std::string& word) {
    if (document_.compare(at_, word.size(), word) != 0) fail();
    at_ += word.size();
  }
  [[noreturn]] void fail() const {
    throw std::runtime_error("model.json is damaged at byte " + std::to_string(at_));
  }

  const std::string& document_;
  size_t at_ = 0;
};

inline Json read_json(const std::string& document) { return JsonReader(document).read(); }
