// The model's second input: metadata, encoded as model.json says. `tlkit_reader.py` does the same in Python.

#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "json.h"

using Texts = std::map<std::string, std::string>;  // a text for each column

inline std::string to_lower(std::string text) {
  for (char& letter : text)
    if (letter >= 'A' && letter <= 'Z') letter += 'a' - 'A';
  return text;
}

inline std::string trim(const std::string& text, bool squeezes = false) {
  std::istringstream words(text);
  std::string word, trimmed;
  while (words >> word) trimmed += (trimmed.empty() ? "" : " ") + word;
  if (squeezes || trimmed.empty()) return trimmed;
  const size_t first = text.find_first_not_of(" \t\r\n\f\v");
  return text.substr(first, text.find_last_not_of(" \t\r\n\f\v") - first + 1);
}

// The normal form of a category: case, spaces and zeros at the end of decimals do not count.
inline std::string fold(const std::string& text, const Json& same_words) {
  std::string folded = to_lower(trim(text, true));
  if (std::regex_match(folded, std::regex("[+-]?(0|[1-9][0-9]{0,14})\\.[0-9]*"))) {
    folded.erase(folded.find_last_not_of('0') + 1);
    if (folded.back() == '.') folded.pop_back();
  }
  return same_words.has(folded) ? same_words.at(folded).text : folded;
}

inline bool is_ascii(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char letter) { return static_cast<unsigned char>(letter) < 128; });
}

inline std::vector<float> encode_number(const std::string& text, const Json& column, bool is_missing,
                                        const Json& same_words) {
  const std::string plain = trim(text), folded = fold(text, same_words);
  double value = NAN;
  if (std::regex_match(plain, std::regex("[+-]?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d{1,9})?"))) {
    value = std::strtod(plain.c_str(), nullptr);
  } else if (!is_missing && column.at("words").has(folded)) {
    value = column.at("words").at(folded).number;
  }
  for (const Json& no_data : column.at("no_data").items)
    if (value == no_data.number) value = NAN;
  if (std::isnan(value) || std::abs(value) >= column.at("largest").number) return {0, 1};
  const double clip = column.at("clip").number;
  const double scaled = (value - column.at("mean").number) / column.at("scale").number;
  return {static_cast<float>(std::clamp(scaled, -clip, clip)), 0};
}

inline std::vector<float> encode_category(const std::string& text, const Json& column, bool is_missing,
                                          const Json& same_words) {
  const std::string folded = fold(text, same_words);
  const Json& places = column.at("places");
  if (!is_missing && !places.has(folded) && !is_ascii(folded))
    throw std::runtime_error(column.at("name").text + " is \"" + text + "\": this program knows letters beyond ASCII only " +
                             "as they stand in places in model.json");
  const Json& place = is_missing ? column.at("missing_place") : places.has(folded) ? places.at(folded) : column.at("unknown");
  std::vector<float> encoded(static_cast<size_t>(column.at("width").number));
  encoded.at(static_cast<size_t>(place.number)) = 1;
  return encoded;
}

// Return the input from a text for each column; `metadata` is that of model.json. Throws if a column has none.
inline std::vector<float> read_metadata(const Texts& texts, const Json& metadata) {
  std::vector<float> encoded;
  for (const Json& column : metadata.at("columns").items) {
    const std::string& name = column.at("name").text;
    const auto given = texts.find(name);
    if (given == texts.end()) throw std::runtime_error("the model needs --metadata " + name + "=VALUE");
    const std::string lower = to_lower(trim(given->second));
    const auto& missing = metadata.at("missing").items;
    const bool is_missing =
        std::any_of(missing.begin(), missing.end(), [&](const Json& spelling) { return spelling.text == lower; });
    const auto encode = column.at("kind").text == "number" ? encode_number : encode_category;
    const std::vector<float> part = encode(given->second, column, is_missing, metadata.at("same_words"));
    encoded.insert(encoded.end(), part.begin(), part.end());
  }
  return encoded;
}
