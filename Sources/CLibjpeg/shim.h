// Writing a JPEG file into memory by libjpeg-turbo, which tells of failures by a jump that Swift cannot make.
#pragma once
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <jpeglib.h>

struct stemwire_jpeg_failure {
    struct jpeg_error_mgr manager;
    jmp_buf back;
};

static inline void stemwire_jpeg_fail(j_common_ptr info) {
    longjmp(((struct stemwire_jpeg_failure *)info->err)->back, 1);
}

/// Writes an 8-bit RGB image, rows top to bottom without padding, colours at full resolution.
///
/// Returns the file, to be freed by `free`, and its size; NULL when it cannot be written.
static inline unsigned char *stemwire_jpeg_write_rgb(
    const unsigned char *pixels, unsigned width, unsigned height, int quality, unsigned long *bytes) {
    struct jpeg_compress_struct *info = (struct jpeg_compress_struct *)calloc(1, sizeof *info);
    struct stemwire_jpeg_failure *failure = (struct stemwire_jpeg_failure *)calloc(1, sizeof *failure);
    unsigned char **file = (unsigned char **)calloc(1, sizeof *file);
    unsigned char *made = NULL;
    if (info && failure && file) {
        info->err = jpeg_std_error(&failure->manager);
        failure->manager.error_exit = stemwire_jpeg_fail;
        *bytes = 0;
        if (!setjmp(failure->back)) {
            jpeg_create_compress(info);
            jpeg_mem_dest(info, file, bytes);
            info->image_width = width;
            info->image_height = height;
            info->input_components = 3;
            info->in_color_space = JCS_RGB;
            jpeg_set_defaults(info);
            jpeg_set_quality(info, quality, TRUE);
            info->comp_info[0].h_samp_factor = info->comp_info[0].v_samp_factor = 1;
            jpeg_start_compress(info, TRUE);
            while (info->next_scanline < height) {
                JSAMPROW row = (JSAMPROW)(pixels + (size_t)info->next_scanline * width * 3);
                jpeg_write_scanlines(info, &row, 1);
            }
            jpeg_finish_compress(info);
            made = *file;
        } else {
            free(*file);
        }
        jpeg_destroy_compress(info);
    }
    free(info);
    free(failure);
    free(file);
    return made;
}
