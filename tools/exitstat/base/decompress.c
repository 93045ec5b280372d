// SPDX-License-Identifier: GPL-2.0
#include <lzma.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "base/decompress.h"

/* xz -9 takes 65 MiB; a file cannot make us take more than that. */
#define XZ_MEMORY (128 << 20)

static void *open_gzip(void)
{
	z_stream *z = calloc(1, sizeof(*z));

	/* with gzip's head */
	if (z && inflateInit2(z, 15 + 16) != Z_OK) {
		free(z);
		return NULL;
	}
	return z;
}

static enum decompress_result run_gzip(void *state, struct compressed *data)
{
	z_stream *z = state;
	int result;

	/* Both are much less than what it can count. */
	z->next_in = (unsigned char *)data->in;
	z->avail_in = data->in_len;
	z->next_out = data->out;
	z->avail_out = data->out_len;
	result = inflate(z, Z_NO_FLUSH);
	data->in = z->next_in;
	data->in_len = z->avail_in;
	data->out = z->next_out;
	data->out_len = z->avail_out;

	switch (result) {
	case Z_OK:
	case Z_BUF_ERROR:
		return DECOMPRESS_MORE;
	case Z_STREAM_END:
		inflateReset(z);
		return DECOMPRESS_END;
	case Z_MEM_ERROR:
		return DECOMPRESS_NO_MEMORY;
	}
	return DECOMPRESS_DAMAGED;
}

static void close_gzip(void *state)
{
	inflateEnd(state);
	free(state);
}

static bool begin_xz(lzma_stream *xz)
{
	return lzma_stream_decoder(xz, XZ_MEMORY, 0) == LZMA_OK;
}

static void *open_xz(void)
{
	static const lzma_stream none = LZMA_STREAM_INIT;
	lzma_stream *xz = malloc(sizeof(*xz));

	if (!xz)
		return NULL;
	*xz = none;
	if (begin_xz(xz))
		return xz;
	free(xz);
	return NULL;
}

static enum decompress_result run_xz(void *state, struct compressed *data)
{
	lzma_stream *xz = state;
	lzma_ret result;

	xz->next_in = data->in;
	xz->avail_in = data->in_len;
	xz->next_out = data->out;
	xz->avail_out = data->out_len;
	result = lzma_code(xz, data->last ? LZMA_FINISH : LZMA_RUN);
	data->in = xz->next_in;
	data->in_len = xz->avail_in;
	data->out = xz->next_out;
	data->out_len = xz->avail_out;

	switch (result) {
	case LZMA_OK:
	case LZMA_BUF_ERROR:
		return DECOMPRESS_MORE;
	case LZMA_STREAM_END:
		return begin_xz(xz) ? DECOMPRESS_END : DECOMPRESS_NO_MEMORY;
	case LZMA_MEM_ERROR:
	case LZMA_MEMLIMIT_ERROR:
		return DECOMPRESS_NO_MEMORY;
	default:
		return DECOMPRESS_DAMAGED;
	}
}

static void close_xz(void *state)
{
	lzma_end(state);
	free(state);
}

static void *open_zstd(void)
{
	return ZSTD_createDStream();
}

static enum decompress_result run_zstd(void *state, struct compressed *data)
{
	ZSTD_inBuffer in = { data->in, data->in_len, 0 };
	ZSTD_outBuffer out = { data->out, data->out_len, 0 };
	size_t left = ZSTD_decompressStream(state, &out, &in);

	data->in += in.pos;
	data->in_len -= in.pos;
	data->out += out.pos;
	data->out_len -= out.pos;
	if (ZSTD_isError(left))
		return DECOMPRESS_DAMAGED;
	return left ? DECOMPRESS_MORE : DECOMPRESS_END;
}

static void close_zstd(void *state)
{
	ZSTD_freeDStream(state);
}

const struct decompressor decompressors[] = {
	{
		.name = "gzip",
		.magic = { 0x1f, 0x8b, 8 },
		.magic_len = 3,
		.open = open_gzip,
		.run = run_gzip,
		.close = close_gzip,
	},
	{
		.name = "xz",
		.magic = { 0xfd, '7', 'z', 'X', 'Z', 0 },
		.magic_len = 6,
		.open = open_xz,
		.run = run_xz,
		.close = close_xz,
	},
	{
		.name = "zstd",
		.magic = { 0x28, 0xb5, 0x2f, 0xfd },
		.magic_len = 4,
		.open = open_zstd,
		.run = run_zstd,
		.close = close_zstd,
	},
	{},
};
