// SPDX-License-Identifier: GPL-2.0
/*
 * What recording a VM-exit costs on this CPU, and what others would cost: the
 * hooks of kernel/exit_stats.h, compiled for a process by means of the headers
 * in shim/, against counters that all CPUs share.  Each reads the TSC twice.
 *
 *   none      nothing is recorded
 *   counts    ours, exit_stats_histograms=0
 *   hist      ours, as they are by default
 *   atomics   one array for all, three locked additions
 *   spinlock  one array for all, and a lock around it
 *   hash      as BPF tools do: a hash map by thread from exit to entry, and one by
 *             reason and thread for the sums
 *
 * Threads are CPUs with a vCPU each.  Rounds of all of them take turns, so that
 * what else this machine does meets all alike.
 */
#define _GNU_SOURCE
#include "native.h"

#include <asm/prctl.h>
#include <err.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 2
#define MAX_ROUNDS 1001
#define CACHE_LINE 64

/* What a Linux guest does most. */
const unsigned char mix[MIX] = {
	48, 1, 30, 10, 32, 1, 12, 32, 1, 30, 52, 48, 32, 1, 12, 30,
};

struct kvm_exit_counts __percpu *kvm_exit_counts_cpu;
struct kvm_exit_hist __percpu *kvm_exit_hist_cpu;
u16 kvm_exit_hist_base[KVM_EXIT_SLOTS];

/* How often a hook called for the slow path. */
static u64 slow;

/*
 * In place of the core's slow path, which this is not about: an exit longer than
 * all limits, which is to say that the thread lost its CPU.
 */
void __kvm_exit_stats_vmentry(struct kvm_vcpu *vcpu)
{
	struct kvm_exit_clock *clock = &vcpu->exit_clock;
	u64 now = rdtsc();

	slow++;
	kvm_exit_count(vcpu, KVM_EXIT_HANDLE, clock->slot, now - clock->stamp);
	clock->stamp = now;
}

void __kvm_exit_stats_vmexit(struct kvm_vcpu *vcpu, unsigned int slot, u64 now)
{
	(void)vcpu;
	(void)slot;
	(void)now;
	errx(1, "the TSC went backwards");
}

/* The counters that all share. */
static struct {
	u64 exits[KVM_EXIT_SLOTS];
	u64 cycles[KVM_EXIT_SLOTS];
	u64 guest_cycles;
} shared __attribute__((aligned(CACHE_LINE)));

static pthread_spinlock_t lock __attribute__((aligned(CACHE_LINE)));

/*
 * A hash map like that of BPF: a lookup takes no lock, an update takes the
 * bucket's.
 */
#define BUCKETS 1024

struct element {
	struct element *next;
	u64 key;
	u64 exits, cycles, since, reason;
};

struct map {
	struct {
		struct element *first;
		pthread_spinlock_t lock;
	} buckets[BUCKETS];
};

static struct map sums, pending;

static __attribute__((noinline)) u32 hash(u64 key)
{
	key *= 0x9e3779b97f4a7c15;
	key ^= key >> 32;
	key *= 0xd6e8feb86659fd93;
	return key >> 40 & (BUCKETS - 1);
}

static __attribute__((noinline)) struct element *lookup(struct map *map,
							u64 key)
{
	struct element *e = map->buckets[hash(key)].first;

	while (e && e->key != key)
		e = e->next;
	return e;
}

static __attribute__((noinline)) struct element *insert(struct map *map,
							u64 key)
{
	u32 i = hash(key);
	struct element *e;

	pthread_spin_lock(&map->buckets[i].lock);
	e = map->buckets[i].first;
	while (e && e->key != key)
		e = e->next;
	if (!e) {
		e = calloc(1, sizeof(*e));
		if (!e)
			err(1, "calloc");
		e->key = key;
		e->next = map->buckets[i].first;
		map->buckets[i].first = e;
	}
	pthread_spin_unlock(&map->buckets[i].lock);
	return e;
}

static __attribute__((noinline)) void update_pending(u64 key, u64 since,
						     u64 reason)
{
	struct element *e = insert(&pending, key);
	u32 i = hash(key);

	pthread_spin_lock(&pending.buckets[i].lock);
	e->since = since;
	e->reason = reason;
	pthread_spin_unlock(&pending.buckets[i].lock);
}

static struct thread threads[MAX_THREADS];

static void run_none(struct thread *t)
{
	u64 sum = 0;

	(void)t;
	for (unsigned int i = 0; i < EXITS; i++) {
		sum += rdtsc();
		guest();
		sum += rdtsc();
		guest();
	}
	asm volatile("" ::"r"(sum));
}

static void add(u64 *to, u64 n)
{
	__atomic_fetch_add(to, n, __ATOMIC_RELAXED);
}

static void run_atomics(struct thread *t)
{
	u64 stamp = rdtsc(), now;

	(void)t;
	for (unsigned int i = 0; i < EXITS; i++) {
		unsigned int slot = mix[i % MIX];

		now = rdtsc();
		add(&shared.cycles[slot], now - stamp);
		stamp = now;
		guest();
		now = rdtsc();
		add(&shared.guest_cycles, now - stamp);
		add(&shared.exits[slot], 1);
		stamp = now;
		guest();
	}
}

static void run_spinlock(struct thread *t)
{
	u64 stamp = rdtsc(), now;

	(void)t;
	for (unsigned int i = 0; i < EXITS; i++) {
		unsigned int slot = mix[i % MIX];

		now = rdtsc();
		pthread_spin_lock(&lock);
		shared.cycles[slot] += now - stamp;
		pthread_spin_unlock(&lock);
		stamp = now;
		guest();
		now = rdtsc();
		pthread_spin_lock(&lock);
		shared.guest_cycles += now - stamp;
		shared.exits[slot]++;
		pthread_spin_unlock(&lock);
		stamp = now;
		guest();
	}
}

static void run_hash(struct thread *t)
{
	struct element *from, *sum;

	for (unsigned int i = 0; i < EXITS; i++) {
		u64 now = rdtsc();

		from = lookup(&pending, t->nr);
		if (from) {
			sum = lookup(&sums, (u64)t->nr << 32 | from->reason);
			if (!sum)
				sum = insert(&sums,
					     (u64)t->nr << 32 | from->reason);
			add(&sum->cycles, now - from->since);
			add(&sum->exits, 1);
		}
		guest();
		update_pending(t->nr, rdtsc(), mix[i % MIX]);
		guest();
	}
}

static const struct method {
	const char *name;
	void (*run)(struct thread *t);
} methods[] = {
	{ "none", run_none },	      { "counts", run_counts },
	{ "hist", run_hist },	      { "atomics", run_atomics },
	{ "spinlock", run_spinlock }, { "hash", run_hash },
};
#define METHODS (sizeof(methods) / sizeof(*methods))

static unsigned int nr_threads, rounds;
static atomic_uint arrived;
/* From when to when by the TSC, and whether the thread had its CPU all the time. */
static struct result {
	u64 begin, end;
	bool whole;
} results[METHODS][MAX_ROUNDS][MAX_THREADS];

static long switches(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_THREAD, &usage))
		err(1, "getrusage");
	return usage.ru_nvcsw + usage.ru_nivcsw;
}

/* All go on at once: a barrier that sleeps would wake one after the other. */
static void wait_for_all(unsigned int *turn)
{
	*turn += nr_threads;
	atomic_fetch_add(&arrived, 1);
	while (atomic_load(&arrived) < *turn)
		__builtin_ia32_pause();
}

static void *run_thread(void *arg)
{
	struct thread *t = arg;
	unsigned int turn = 0;
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(t->nr, &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);
	if (syscall(SYS_arch_prctl, ARCH_SET_GS, &t->cpu))
		err(1, "arch_prctl");

	for (unsigned int round = 0; round < rounds; round++) {
		for (unsigned int i = 0; i < METHODS; i++) {
			struct result *r = &results[i][round][t->nr];
			long before;

			wait_for_all(&turn);
			/* Or the time of the others would be the longest yet. */
			t->vcpu.exit_clock.stamp = rdtsc();
			before = switches();
			r->begin = rdtsc();
			methods[i].run(t);
			r->end = rdtsc();
			r->whole = switches() == before;
		}
	}
	return NULL;
}

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/*
 * Whether all threads of a round ran all the time, and at the same time: else they
 * had nothing to wait for, or too much.
 */
static bool is_whole(const struct result *r)
{
	u64 begin = 0, end = UINT64_MAX, longest = 0;

	for (unsigned int i = 0; i < nr_threads; i++) {
		if (!r[i].whole)
			return false;
		begin = r[i].begin > begin ? r[i].begin : begin;
		end = r[i].end < end ? r[i].end : end;
		if (r[i].end - r[i].begin > longest)
			longest = r[i].end - r[i].begin;
	}
	return end > begin && end - begin > longest / 10 * 8;
}

/* The results of such rounds, in order. */
static unsigned int whole_rounds(const struct method *method, u64 *found)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < rounds; i++) {
		const struct result *r = results[method - methods][i];

		for (unsigned int j = 0; is_whole(r) && j < nr_threads; j++)
			found[n++] = r[j].end - r[j].begin;
	}
	if (!n)
		errx(1,
		     "%s was never measured without a break: let this machine do less",
		     method->name);
	qsort(found, n, sizeof(*found), compare);
	return n;
}

static double tsc_ghz(void)
{
	const struct timespec pause = { .tv_nsec = 200000000 };
	struct timespec begin, end;
	u64 tsc;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	tsc = rdtsc();
	nanosleep(&pause, NULL);
	tsc = rdtsc() - tsc;
	clock_gettime(CLOCK_MONOTONIC, &end);
	return tsc / ((end.tv_sec - begin.tv_sec) * 1e9 + end.tv_nsec -
		      begin.tv_nsec);
}

/* What ours counted is what ran. */
static void check(void)
{
	u64 wanted = (u64)rounds * EXITS * 2, vcpu, cpu;

	for (unsigned int i = 0; i < nr_threads; i++) {
		vcpu = cpu = 0;
		for (unsigned int slot = 0; slot < KVM_EXIT_SLOTS; slot++) {
			vcpu += threads[i]
					.vcpu.stat.exit_counts
					.slots[KVM_EXIT_EXITS][slot];
			cpu += threads[i].cpu.counts.slots[KVM_EXIT_EXITS][slot];
		}
		if (vcpu != wanted || cpu != wanted)
			errx(1,
			     "%" PRIu64 " and %" PRIu64
			     " exits were counted, not %" PRIu64,
			     vcpu, cpu, wanted);
	}
}

/* As if each reason had been seen, and had once taken long. */
static void set_up_histograms(struct kvm_vcpu *vcpu)
{
	struct kvm_exit_hist *hist = calloc(1, sizeof(*hist));

	if (!hist)
		err(1, "calloc");
	memset(hist->limit, 0x7f, sizeof(hist->limit));
	for (unsigned int slot = 0; slot < KVM_EXIT_SLOTS; slot++)
		kvm_exit_hist_base[slot] =
			slot % KVM_EXIT_ROWS * KVM_EXIT_BUCKETS;
	vcpu->exit_clock.hist = hist;
}

int main(int argc, char **argv)
{
	double ghz = tsc_ghz();

	nr_threads = argc > 1 ? atoi(argv[1]) : 1;
	rounds = argc > 2 ? atoi(argv[2]) : 101;
	if (nr_threads < 1 || nr_threads > MAX_THREADS || rounds < 1 ||
	    rounds > MAX_ROUNDS)
		errx(2, "usage: native [THREADS [ROUNDS]]");

	pthread_spin_init(&lock, PTHREAD_PROCESS_PRIVATE);
	for (unsigned int i = 0; i < BUCKETS; i++) {
		pthread_spin_init(&sums.buckets[i].lock,
				  PTHREAD_PROCESS_PRIVATE);
		pthread_spin_init(&pending.buckets[i].lock,
				  PTHREAD_PROCESS_PRIVATE);
	}
	/* Offsets to gs. */
	kvm_exit_counts_cpu = (void *)offsetof(struct thread, cpu.counts) -
			      offsetof(struct thread, cpu);
	kvm_exit_hist_cpu = (void *)offsetof(struct thread, cpu.hist) -
			    offsetof(struct thread, cpu);
	for (unsigned int i = 0; i < nr_threads; i++) {
		threads[i].nr = i;
		set_up_histograms(&threads[i].vcpu);
	}
	for (unsigned int i = 0; i < nr_threads; i++) {
		errno = pthread_create(&threads[i].thread, NULL, run_thread,
				       &threads[i]);
		if (errno)
			err(1, "pthread_create");
	}
	for (unsigned int i = 0; i < nr_threads; i++)
		pthread_join(threads[i].thread, NULL);
	check();

	printf("{\"threads\":%u,\"rounds\":%u,\"exits\":%d,\"tsc_ghz\":%.4f,\"slow\":%" PRIu64
	       ",\"sizeof\":{\"counts\":%zu,\"clock\":%zu,\"hist\":%zu},\"methods\":{",
	       nr_threads, rounds, EXITS, ghz, slow,
	       sizeof(struct kvm_exit_counts), sizeof(struct kvm_exit_clock),
	       sizeof(struct kvm_exit_hist));
	for (unsigned int i = 0; i < METHODS; i++) {
		static u64 r[MAX_ROUNDS * MAX_THREADS];
		unsigned int n = whole_rounds(&methods[i], r);

		printf("%s\"%s\":{\"rounds\":%u,\"cycles\":%.2f,\"ns\":%.2f,\"least_cycles\":%.2f,\"quartiles\":[%.2f,%.2f]}",
		       i ? "," : "", methods[i].name, n / nr_threads,
		       (double)r[n / 2] / EXITS, r[n / 2] / ghz / EXITS,
		       (double)r[0] / EXITS, (double)r[n / 4] / EXITS,
		       (double)r[n * 3 / 4] / EXITS);
	}
	puts("}}");
	return 0;
}
