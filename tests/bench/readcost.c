// SPDX-License-Identifier: GPL-2.0
/*
 * What reading a file costs in TSC cycles: readcost TIMES FILE...
 *
 * For each file its size, and the least of TIMES readings from open() to
 * close(), as exit_stats and the like are made anew for each.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <x86intrin.h>

static char data[1 << 20];

static size_t read_file(const char *name)
{
	size_t size = 0;
	ssize_t n;
	int fd;

	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", name);
	while ((n = read(fd, data, sizeof(data))) > 0)
		size += n;
	if (n < 0)
		err(1, "%s", name);
	close(fd);
	return size;
}

int main(int argc, char **argv)
{
	int times;

	if (argc < 3 || (times = atoi(argv[1])) < 1)
		errx(2, "usage: readcost TIMES FILE...");

	for (int i = 2; i < argc; i++) {
		uint64_t least = UINT64_MAX;
		size_t size = 0;

		for (int j = 0; j < times; j++) {
			uint64_t tsc = __rdtsc();

			size = read_file(argv[i]);
			tsc = __rdtsc() - tsc;
			if (tsc < least)
				least = tsc;
		}
		printf("%" PRIu64 " %zu %s\n", least, size, argv[i]);
	}
	return 0;
}
