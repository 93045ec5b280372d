// SPDX-License-Identifier: GPL-2.0
/*
 * Loads exits.bpf.o for one process and, when it gets SIGINT, shows what that
 * counted: exits-bpf PID
 */
#include "exits.bpf.h"

#include <bpf/libbpf.h>
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The object file, which the linker puts in here. */
extern const unsigned char _binary_exits_bpf_o_start[];
extern const unsigned char _binary_exits_bpf_o_end[];

int main(int argc, char **argv)
{
	struct bpf_program *program;
	struct bpf_object *object;
	struct bpf_map *sums, *constants;
	struct exit_sum *of_cpus;
	int nr_cpus, signal_nr;
	sigset_t signals;
	size_t size;
	__u32 pid;

	if (argc != 2)
		errx(2, "usage: exits-bpf PID");
	pid = atoi(argv[1]);

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);

	object = bpf_object__open_mem(
		_binary_exits_bpf_o_start,
		_binary_exits_bpf_o_end - _binary_exits_bpf_o_start, NULL);
	if (!object)
		err(1, "the BPF object cannot be opened");
	constants = bpf_object__find_map_by_name(object, ".rodata");
	if (!constants ||
	    bpf_map__set_initial_value(constants, &pid, sizeof(pid)))
		err(1, "the BPF object's constants cannot be set");
	if (bpf_object__load(object))
		err(1, "the BPF object cannot be loaded");
	bpf_object__for_each_program(program, object) {
		if (!bpf_program__attach(program))
			err(1, "%s cannot be attached",
			    bpf_program__name(program));
	}

	sigwait(&signals, &signal_nr);

	sums = bpf_object__find_map_by_name(object, "sums");
	nr_cpus = libbpf_num_possible_cpus();
	if (!sums || nr_cpus < 1)
		errx(1, "what was counted cannot be read");
	size = nr_cpus * sizeof(*of_cpus);
	of_cpus = malloc(size);
	if (!of_cpus)
		err(1, "malloc");
	for (__u32 reason = 0; reason < EXIT_REASONS; reason++) {
		struct exit_sum sum = { 0 };

		if (bpf_map__lookup_elem(sums, &reason, sizeof(reason), of_cpus,
					 size, 0))
			err(1, "what was counted cannot be read");
		for (int i = 0; i < nr_cpus; i++) {
			sum.exits += of_cpus[i].exits;
			sum.ns += of_cpus[i].ns;
		}
		if (sum.exits)
			printf("reason %u: %llu exits, %llu ns\n", reason,
			       sum.exits, sum.ns);
	}
	free(of_cpus);
	bpf_object__close(object);
	return 0;
}
