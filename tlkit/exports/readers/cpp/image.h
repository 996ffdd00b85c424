// Pictures as the exported model expects them: upright RGB, 0..255, resized by a bilinear filter with antialiasing, as
// Pillow does it. Needs json.h, JPEG and PNG need libjpeg and libpng; PPM (P6, 8 bits) is always read.

#pragma once

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "json.h"

#ifdef WITH_JPEG
#include <jpeglib.h>
#include <jerror.h>
#endif
#ifdef WITH_PNG
#include <png.h>
#endif

struct Image {
  int height = 0, width = 0;
  std::vector<uint8_t> pixels;  // RGB, rows from the top

  Image(int rows, int columns, uint8_t value = 0)
      : height(rows), width(columns), pixels(size_t(rows) * columns * 3, value) {}
  uint8_t* at(int row, int column) { return &pixels[(size_t(row) * width + column) * 3]; }
  const uint8_t* at(int row, int column) const { return &pixels[(size_t(row) * width + column) * 3]; }
};

inline Image exchange(const Image& image) {
  Image result(image.width, image.height);
  for (int row = 0; row < image.height; ++row)
    for (int column = 0; column < image.width; ++column) std::copy_n(image.at(row, column), 3, result.at(column, row));
  return result;
}

inline Image mirror(Image image) {
  for (int row = 0; row < image.height; ++row)
    for (int left = 0, right = image.width - 1; left < right; ++left, --right)
      std::swap_ranges(image.at(row, left), image.at(row, left) + 3, image.at(row, right));
  return image;
}

inline Image flip(Image image) {
  for (int top = 0, low = image.height - 1; top < low; ++top, --low)
    std::swap_ranges(image.at(top, 0), image.at(top, 0) + 3 * image.width, image.at(low, 0));
  return image;
}

// Turn a picture upright by its EXIF orientation, 1..8.
inline Image turn(Image image, int orientation) {
  switch (orientation) {
    case 2: return mirror(std::move(image));
    case 3: return flip(mirror(std::move(image)));
    case 4: return flip(std::move(image));
    case 5: return exchange(image);
    case 6: return mirror(exchange(image));
    case 7: return flip(mirror(exchange(image)));
    case 8: return flip(exchange(image));
    default: return image;
  }
}

// The part of the picture that is shown along one axis, and the pixels of the input that show it.
struct Part {
  double start, stop;
  int first, last;
};

inline Part find_part(double start, double stop, int edge, int size) {
  const double scale = size / (stop - start);
  const int first = std::max(0, static_cast<int>(std::ceil(-start * scale - 1e-6)));
  const int last = std::min(size, static_cast<int>(std::floor((edge - start) * scale + 1e-6)));
  if (last <= first) {  // thinner than a pixel of the input
    const int place = std::min(std::max(0, static_cast<int>(std::floor((edge / 2.0 - start) * scale))), size - 1);
    return {std::max(0.0, start), std::min<double>(edge, stop), place, place + 1};
  }
  return {std::max(0.0, start + first / scale), std::min<double>(edge, start + last / scale), first, last};
}

// Resize each row: a triangle as wide as a pixel of the result, rounded to 8 bits.
inline Image filter(const Image& image, const Part& part) {
  constexpr int bits = 22;
  const float start = static_cast<float>(part.start);
  Image result(image.height, part.last - part.first);
  const double scale = static_cast<double>(static_cast<float>(part.stop) - start) / result.width;
  const double support = std::max(scale, 1.0);
  for (int place = 0; place < result.width; ++place) {
    const double centre = start + (place + 0.5) * scale;
    const int first = std::max(static_cast<int>(centre - support + 0.5), 0);
    const int last = std::min(static_cast<int>(centre + support + 0.5), image.width);
    std::vector<double> shares;
    double total = 0;
    for (int at = first; at < last; ++at) {
      shares.push_back(std::max(0.0, 1 - std::abs((at - centre + 0.5) * (1 / support))));
      total += shares.back();
    }
    std::vector<int> weights;
    for (const double share : shares) weights.push_back(static_cast<int>(0.5 + share / total * (1 << bits)));
    for (int row = 0; row < image.height; ++row)
      for (int channel = 0; channel < 3; ++channel) {
        int sum = 1 << (bits - 1);
        for (int at = first; at < last; ++at) sum += image.at(row, at)[channel] * weights[at - first];
        result.at(row, place)[channel] = static_cast<uint8_t>(std::clamp(sum >> bits, 0, 255));
      }
  }
  return result;
}

// Return the model's input: `fit` is squash, crop or pad, as in model.json.
inline Image resize(const Image& image, int rows, int columns, const std::string& fit) {
  double left = 0, top = 0, right = image.width, bottom = image.height;
  if (fit != "squash") {
    const double across = double(columns) / image.width, down = double(rows) / image.height;
    const double scale = fit == "crop" ? std::max(across, down) : std::min(across, down);
    left = (image.width - columns / scale) / 2, right = left + columns / scale;
    top = (image.height - rows / scale) / 2, bottom = top + rows / scale;
  }
  const Part across = find_part(left, right, image.width, columns), down = find_part(top, bottom, image.height, rows);
  // Which pass comes first, as measured of Pillow 13: each rounds to 8 bits. Earlier releases start across.
  const int rows_lost = image.height - (down.last - down.first), columns_lost = image.width - (across.last - across.first);
  const bool starts_down = rows_lost > 0 && rows_lost > 2 * columns_lost;
  const Image shown = starts_down ? filter(exchange(filter(exchange(image), down)), across)
                                  : exchange(filter(exchange(filter(image, across)), down));
  Image sheet(rows, columns, 128);
  for (int row = 0; row < shown.height; ++row)
    std::copy_n(shown.at(row, 0), 3 * shown.width, sheet.at(down.first + row, across.first));
  return sheet;
}

inline Image read_ppm(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string kind;
  int width = 0, height = 0, largest = 0;
  file >> kind >> width >> height >> largest;
  file.get();
  if (kind != "P6" || width < 1 || height < 1 || width > 65535 || height > 65535 || largest != 255)
    throw std::runtime_error("this is no JPEG, PNG or PPM (P6, 8 bits) that this program can read");
  Image image(height, width);
  file.read(reinterpret_cast<char*>(image.pixels.data()), static_cast<std::streamsize>(image.pixels.size()));
  if (!file) throw std::runtime_error("the file is shorter than it says");
  return image;
}

// The values of grey of 16 bits that are black and white in the training images; white is 0 if they had none.
struct Levels {
  double black = 0, white = 0;
};

inline Levels find_levels(const Json& reading) {
  for (const Json& levels : reading.at("grey").items)
    if (levels.at("kind").text == "16-bit") return {levels.at("black").number, levels.at("white").number};
  return {};
}

inline uint8_t scale_grey(int value, const Levels& levels) {
  const int64_t white = static_cast<int64_t>(levels.white);
  if (levels.black == 0) return static_cast<uint8_t>((std::min<int64_t>(value, white) * 510 + white) / (2 * white));
  const double scaled = (value - levels.black) / (levels.white - levels.black);
  return static_cast<uint8_t>(std::nearbyint(std::clamp(scaled, 0.0, 1.0) * 255));
}

#ifdef WITH_PNG
struct PngFile {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::string fault;
  std::vector<uint8_t> samples;
  int depth = 0;
};

inline void decode_png(PngFile& from, std::FILE* file) {
  png_init_io(from.png, file);
  png_read_info(from.png, from.info);
  const bool is_deep_grey =
      png_get_bit_depth(from.png, from.info) == 16 && png_get_color_type(from.png, from.info) == PNG_COLOR_TYPE_GRAY;
  if (!is_deep_grey) {
    png_set_strip_16(from.png);
    png_set_expand(from.png);
    png_set_gray_to_rgb(from.png);
    png_set_add_alpha(from.png, 0xFF, PNG_FILLER_AFTER);
  }
  const int passes = png_set_interlace_handling(from.png);
  png_read_update_info(from.png, from.info);
  from.depth = png_get_bit_depth(from.png, from.info);
  const size_t width = png_get_rowbytes(from.png, from.info), height = png_get_image_height(from.png, from.info);
  from.samples.resize(width * height);
  for (int pass = 0; pass < passes; ++pass)
    for (size_t row = 0; row < height; ++row) png_read_row(from.png, &from.samples[row * width], nullptr);
  png_read_end(from.png, nullptr);
}

inline Image read_png(const std::string& path, const Levels& levels) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) throw std::runtime_error("cannot be opened");
  PngFile from;
  const auto fail = [](png_structp png, png_const_charp message) {
    *static_cast<std::string*>(png_get_error_ptr(png)) = message;
    png_longjmp(png, 1);
  };
  from.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &from.fault, fail, [](png_structp, png_const_charp) {});
  from.info = png_create_info_struct(from.png);
  if (!setjmp(png_jmpbuf(from.png))) decode_png(from, file);
  Image image(static_cast<int>(png_get_image_height(from.png, from.info)),
              static_cast<int>(png_get_image_width(from.png, from.info)));
  png_destroy_read_struct(&from.png, &from.info, nullptr);
  std::fclose(file);
  if (from.depth == 16 && levels.white == 0 && from.fault.empty())
    from.fault = "16-bit grey, of which the training images had none, so that black and white are not known";
  if (!from.fault.empty()) throw std::runtime_error(from.fault);
  for (size_t at = 0; at < image.pixels.size() / 3; ++at) {
    uint8_t* pixel = &image.pixels[3 * at];
    if (from.depth == 16) {
      std::fill_n(pixel, 3, scale_grey(from.samples[2 * at] << 8 | from.samples[2 * at + 1], levels));
      continue;
    }
    for (int channel = 0; channel < 3; ++channel) {  // over white
      const int alpha = from.samples[4 * at + 3];
      const int mixed = from.samples[4 * at + channel] * alpha + 255 * (255 - alpha);
      pixel[channel] = static_cast<uint8_t>((mixed + 127) / 255);
    }
  }
  return image;
}
#endif

#ifdef WITH_JPEG
struct JpegFault {
  jpeg_error_mgr manager;
  std::jmp_buf place;
};

// The orientation in a JPEG's EXIF segment, or 1.
inline int find_orientation(const jpeg_marker_struct* marker) {
  for (; marker; marker = marker->next) {
    const uint8_t* data = marker->data;
    const size_t size = marker->data_length;
    if (marker->marker != JPEG_APP0 + 1 || size < 14 || !std::equal(data, data + 6, "Exif\0\0")) continue;
    const bool is_little = data[6] == 'I';
    const auto number = [&](size_t at, int bytes) {
      size_t value = 0;
      for (int index = 0; index < bytes && at + bytes <= size; ++index)
        value |= size_t(data[at + index]) << 8 * (is_little ? index : bytes - 1 - index);
      return value;
    };
    const size_t start = 6 + number(10, 4);
    for (size_t entry = 0; entry < number(start, 2); ++entry) {
      const size_t at = start + 2 + 12 * entry;
      if (at + 12 <= size && number(at, 2) == 0x112) return static_cast<int>(number(at + 8, 2));
    }
  }
  return 1;
}

// Turn a row of cyan, magenta, yellow and black into RGB, as Pillow does; Adobe's programs store them inverted.
inline void mix_inks(const std::vector<uint8_t>& inks, bool is_inverted, uint8_t* row) {
  for (size_t at = 0; at < inks.size(); at += 4) {
    const int light = is_inverted ? inks[at + 3] : 255 - inks[at + 3];
    for (int channel = 0; channel < 3; ++channel) {
      const int ink = is_inverted ? 255 - inks[at + channel] : inks[at + channel];
      const int product = ink * light + 128;
      *row++ = static_cast<uint8_t>(std::clamp(light - ((product + (product >> 8)) >> 8), 0, 255));
    }
  }
}

inline void decode_jpeg(jpeg_decompress_struct& decoder, std::FILE* file, int rows, int columns, Image& image,
                        std::vector<uint8_t>& inks) {
  jpeg_stdio_src(&decoder, file);
  jpeg_save_markers(&decoder, JPEG_APP0 + 1, 0xFFFF);
  jpeg_read_header(&decoder, TRUE);
  // Decoded at a half, a quarter or an eighth, as long as it stays twice as large as the input.
  const int room = std::min(decoder.image_width / (2 * columns), decoder.image_height / (2 * rows));
  decoder.scale_num = 1;
  decoder.scale_denom = room >= 8 ? 8 : room >= 4 ? 4 : room >= 2 ? 2 : 1;
  const bool is_cmyk = decoder.num_components == 4;
  decoder.out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(&decoder);
  image = Image(static_cast<int>(decoder.output_height), static_cast<int>(decoder.output_width));
  inks.resize(is_cmyk ? size_t(4) * decoder.output_width : 0);
  while (decoder.output_scanline < decoder.output_height) {
    uint8_t* row = image.at(static_cast<int>(decoder.output_scanline), 0);
    JSAMPROW line = is_cmyk ? inks.data() : row;
    jpeg_read_scanlines(&decoder, &line, 1);
    if (is_cmyk) mix_inks(inks, decoder.saw_Adobe_marker, row);
  }
  image = turn(std::move(image), find_orientation(decoder.marker_list));
  jpeg_finish_decompress(&decoder);
}

inline Image read_jpeg(const std::string& path, int rows, int columns) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) throw std::runtime_error("cannot be opened");
  Image image(0, 0);
  std::vector<uint8_t> inks;
  jpeg_decompress_struct decoder{};
  JpegFault fault{};
  decoder.err = jpeg_std_error(&fault.manager);
  fault.manager.error_exit = [](j_common_ptr common) {
    std::longjmp(reinterpret_cast<JpegFault*>(common->err)->place, 1);
  };
  fault.manager.emit_message = [](j_common_ptr common, int level) {
    if (level < 0 && common->err->msg_code == JWRN_JPEG_EOF) common->err->error_exit(common);  // it is cut off
  };
  const bool has_failed = setjmp(fault.place) != 0;
  if (!has_failed) {
    jpeg_create_decompress(&decoder);
    decode_jpeg(decoder, file, rows, columns, image, inks);
  }
  char message[JMSG_LENGTH_MAX] = "";
  if (has_failed) fault.manager.format_message(reinterpret_cast<j_common_ptr>(&decoder), message);
  jpeg_destroy_decompress(&decoder);
  std::fclose(file);
  if (*message) throw std::runtime_error(message);
  return image;
}
#endif

// Return an upright picture for an input of `rows` and `columns`. Throws std::runtime_error if it cannot be read.
inline Image read_image(const std::string& path, [[maybe_unused]] int rows, [[maybe_unused]] int columns,
                        [[maybe_unused]] const Levels& levels) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot be opened");
  [[maybe_unused]] const int first = file.get();
  file.close();
#ifdef WITH_JPEG
  if (first == 0xFF) return read_jpeg(path, rows, columns);
#endif
#ifdef WITH_PNG
  if (first == 0x89) return read_png(path, levels);
#endif
  return read_ppm(path);
}
