// Ask an OpenVINO model: `predict openvino-float32 [--metadata COLUMN=VALUE]... PHOTO...`; model.json is in the folder
// above. Metadata belong to the photos after them. Prints a line of JSON for each photo. `image.h` reads pictures as the
// model was trained, `metadata.h` encodes metadata; both can be used alone.

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include <openvino/openvino.hpp>

#include "image.h"
#include "json.h"
#include "metadata.h"

namespace {

const std::string usage = "usage: predict openvino-float32 [--metadata COLUMN=VALUE]... PHOTO...";

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string escape(const std::string& text) {
  std::string escaped;
  for (const char character : text) {
    char code[8];
    std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned char>(character));
    if (character >= 0 && character < 32) {
      escaped += code;
      continue;
    }
    if (character == '"' || character == '\\') escaped += '\\';
    escaped += character;
  }
  return escaped;
}

void print(const std::string& path, ov::InferRequest& request, const std::vector<Json>& names) {
  std::cout << "{\"image\": \"" << escape(path) << "\"";
  for (const auto& port : request.get_compiled_model().outputs()) {
    const std::string name = port.get_any_name();
    if (name == "map") continue;
    const ov::Tensor answer = request.get_tensor(port);
    const float* values = answer.data<float>();
    std::cout << ", \"" << name << "\": [";
    for (size_t index = 0; index < answer.get_size(); ++index) {
      char text[32];
      std::snprintf(text, sizeof text, "%s%.9g", index ? ", " : "", values[index]);
      std::cout << text;
    }
    std::cout << "]";
    if (name == "probabilities" && answer.get_size() == names.size()) {
      const auto best = std::max_element(values, values + answer.get_size()) - values;
      std::cout << ", \"class\": \"" << escape(names[best].text) << "\"";
    }
  }
  std::cout << "}" << std::endl;
}

void ask(const std::string& path, const Texts& texts, ov::InferRequest& request, const Json& document) {
  const auto& size = document.at("image_size").items;
  const int rows = static_cast<int>(size.at(0).number), columns = static_cast<int>(size.at(1).number);
  const Json& reading = document.at("reading");
  Image input = resize(read_image(path, rows, columns, find_levels(reading)), rows, columns, reading.at("fit").text);
  const ov::Shape shape = {1, static_cast<size_t>(rows), static_cast<size_t>(columns), 3};
  request.set_tensor("image", ov::Tensor(ov::element::u8, shape, input.pixels.data()));
  std::vector<float> encoded;
  if (!document.at("metadata").is_null) {
    encoded = read_metadata(texts, document.at("metadata"));
    request.set_tensor("metadata", ov::Tensor(ov::element::f32, ov::Shape{1, encoded.size()}, encoded.data()));
  }
  request.infer();
  print(path, request, document.at("class_names").items);
}

}  // namespace

int main(int count, char** arguments) try {
  if (count < 3) throw std::runtime_error(usage);
  const std::string folder = arguments[1];
  const Json document = read_json(read_text(folder + "/../model.json"));
  ov::Core core;
  // Processors with bfloat16 would otherwise compute in it, and the second decimal of a probability would change.
  auto model = core.compile_model(folder + "/model.xml", "CPU",
                                  ov::hint::inference_precision(ov::element::f32));
  auto request = model.create_infer_request();
  Texts texts;
  bool has_failed = false;
  for (int index = 2; index < count; ++index) {
    const std::string argument = arguments[index];
    if (argument == "--metadata") {
      const std::string pair = ++index < count ? arguments[index] : "";
      const size_t equals = pair.find('=');
      if (equals == std::string::npos) throw std::runtime_error(usage);
      texts[pair.substr(0, equals)] = pair.substr(equals + 1);
      continue;
    }
    try {
      ask(argument, texts, request, document);
    } catch (const std::exception& error) {
      std::cerr << argument << ": " << error.what() << std::endl;
      has_failed = true;
    }
  }
  return has_failed;
} catch (const std::exception& error) {
  std::cerr << error.what() << std::endl;
  return 2;
}
