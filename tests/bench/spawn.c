// SPDX-License-Identifier: GPL-2.0
/*
 * What it takes to run a program: spawn TIMES PROGRAM [ARG]... runs it so many
 * times, with its output to /dev/null, and prints a line for each: ns from
 * start to end, ns of CPU time in user mode and in the kernel, and the largest
 * resident set in KiB.
 *
 * A small program itself, because what is started counts the starter's memory
 * as its own until it has called execve().
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static long long ns(const struct timeval *time)
{
	return time->tv_sec * 1000000000LL + time->tv_usec * 1000LL;
}

int main(int argc, char **argv)
{
	posix_spawn_file_actions_t actions;
	struct rusage usage;
	long long start, end;
	int status, error, i;
	pid_t pid;

	if (argc < 3 || atoi(argv[1]) < 1) {
		fprintf(stderr, "usage: spawn TIMES PROGRAM [ARG]...\n");
		return 2;
	}

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);

	for (i = 0; i < atoi(argv[1]); i++) {
		start = now();
		error = posix_spawn(&pid, argv[2], &actions, NULL, argv + 2,
				    environ);
		if (error) {
			fprintf(stderr, "spawn: cannot run %s: %s\n", argv[2],
				strerror(error));
			return 1;
		}
		while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR)
			;
		end = now();
		if (status) {
			fprintf(stderr, "spawn: %s ended with status 0x%x\n",
				argv[2], status);
			return 1;
		}
		printf("%lld %lld %lld %ld\n", end - start, ns(&usage.ru_utime),
		       ns(&usage.ru_stime), usage.ru_maxrss);
	}
	return 0;
}
