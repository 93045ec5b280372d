// SPDX-License-Identifier: GPL-2.0
/* What the static program, which has no libraries for it, can say of it. */
#include "base/decompress.h"

const struct decompressor decompressors[] = {
	{
		.name = "gzip",
		.magic = { 0x1f, 0x8b, 8 },
		.magic_len = 3,
		.program = "zcat",
	},
	{
		.name = "xz",
		.magic = { 0xfd, '7', 'z', 'X', 'Z', 0 },
		.magic_len = 6,
		.program = "xzcat",
	},
	{
		.name = "zstd",
		.magic = { 0x28, 0xb5, 0x2f, 0xfd },
		.magic_len = 4,
		.program = "zstdcat",
	},
	{},
};
