// SPDX-License-Identifier: GPL-2.0
/* Run a target on files: in the place of libFuzzer's own main(). */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common.h"

static void run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat st;
	uint8_t *data;
	size_t size;

	check(file && !fstat(fileno(file), &st));
	size = st.st_size;
	/* Not a byte more than there is, so that ASan sees who reads behind. */
	data = malloc(size);
	check(!size || (data && fread(data, size, 1, file) == 1));
	fclose(file);

	/* If it fails, this is what the last line says. */
	fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
}

int main(int argc, char **argv)
{
	int i;

	LLVMFuzzerInitialize(&argc, &argv);
	for (i = 1; i < argc; i++)
		run_file(argv[i]);
	return 0;
}
