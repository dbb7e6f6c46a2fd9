// libpng's simplified interface; its format constants are macros that Swift does not import.
#pragma once
#include <png.h>
#include <string.h>

/// Writes an 8-bit RGB image, rows top to bottom without padding, as PNG. With `memory` NULL only the size is found.
static inline int stemwire_png_write_rgb(
    void *memory, size_t *bytes, const unsigned char *pixels, unsigned width, unsigned height) {
    png_image image;
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    image.width = width;
    image.height = height;
    image.format = PNG_FORMAT_RGB;
    png_alloc_size_t size = *bytes;
    int written = png_image_write_to_memory(&image, memory, &size, 0, pixels, 0, NULL);
    *bytes = size;
    png_image_free(&image);
    return written;
}
