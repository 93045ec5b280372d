// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the exit accounting, as far as it needs no guest.
 *
 * They run on the ISA of the vendor module that is loaded.  A vCPU that never
 * runs stands in for one that does, so the host's totals know of its exits.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/module.h>

#include "x86.h"
#include "exit_stats.h"

#define TEST_SLOT	1

struct exit_stats_test {
	struct kvm_vcpu *vcpu;
	struct kvm_exit_counts *counts;
	struct kvm_exit_clock *clock;
	struct kvm_exit_hist *hist;
};

static int exit_stats_test_init(struct kunit *test)
{
	struct exit_stats_test *t;

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t);
	t->vcpu = kunit_kzalloc(test, sizeof(*t->vcpu), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->vcpu);
	t->hist = kunit_kzalloc(test, sizeof(*t->hist), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->hist);

	t->counts = &t->vcpu->stat.exit_counts;
	t->clock = &t->vcpu->exit_clock;
	/* As in a new vCPU. */
	t->clock->stamp = KVM_EXIT_STAMP_SLOW;
	if (static_key_enabled(&kvm_exit_hist_key))
		t->clock->hist = t->hist;
	test->priv = t;

	if (!static_key_enabled(&kvm_exit_stats_key))
		kunit_skip(test, "exit_stats is off");
	return 0;
}

static void vmentry(struct kvm_vcpu *vcpu)
{
	local_irq_disable();
	kvm_exit_stats_vmentry(vcpu);
	local_irq_enable();
}

static void vmexit(struct kvm_vcpu *vcpu, unsigned int slot)
{
	local_irq_disable();
	kvm_exit_stats_vmexit(vcpu, slot);
	local_irq_enable();
}

/* As if vcpu_put() had been, and vcpu_load() were now. */
static void user(struct kvm_vcpu *vcpu, unsigned int usecs)
{
	vcpu->wants_to_run = true;
	vcpu->arch.last_host_tsc = rdtsc();
	udelay(usecs);
	kvm_exit_load(vcpu);
}

static u64 sum(const struct kvm_exit_counts *counts, enum kvm_exit_column from,
	       enum kvm_exit_column to)
{
	unsigned int column, slot;
	u64 sum = 0;

	for (column = from; column <= to; column++) {
		for (slot = 0; slot < KVM_EXIT_SLOTS; slot++)
			sum += counts->slots[column][slot];
	}
	return sum;
}

static u64 hist_sum(const struct kvm_exit_hist *hist, enum kvm_exit_time time)
{
	u64 sum = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(hist->handle); i++) {
		sum += hist->handle[i];
		if (time == KVM_EXIT_TIME_TOTAL)
			sum += hist->to_total[i];
	}
	return sum;
}

/* A number has the slot that has the number, and no slot is out of range. */
static void test_slots(struct kunit *test)
{
	const struct kvm_exit_isa *isa = kvm_exit_isa();
	static const u32 from[] = { 0, 0x7fffff00, 0xefffff00, 0xfffffe00 };
	unsigned int i, slot, defined = 0, seen = 0;
	u32 nr, n;

	if (!isa) {
		kunit_skip(test, "no vendor module is loaded");
		return;
	}

	for (slot = 0; slot < KVM_EXIT_SLOTS; slot++) {
		if (isa->slot_to_nr(slot, &nr))
			continue;
		defined++;
		KUNIT_EXPECT_EQ(test, isa->nr_to_slot(nr), (int)slot);
		KUNIT_EXPECT_LT(test, slot, (unsigned int)KVM_EXIT_SLOT_OTHER);
	}
	KUNIT_EXPECT_GT(test, defined, 70u);

	for (i = 0; i < ARRAY_SIZE(from); i++) {
		for (n = 0; n < (i ? 0x200 : 0x20000); n++) {
			int r = isa->nr_to_slot(from[i] + n);

			if (r < 0) {
				KUNIT_EXPECT_TRUE(test, r == -ENOENT || r == -ENODATA);
				continue;
			}
			seen++;
			KUNIT_EXPECT_LT(test, r, KVM_EXIT_SLOT_OTHER);
			KUNIT_EXPECT_EQ(test, isa->slot_to_nr(r, &nr), 0);
			KUNIT_EXPECT_EQ(test, nr, from[i] + n);
		}
	}
	KUNIT_EXPECT_EQ(test, seen, defined);

	KUNIT_EXPECT_NE(test, isa->nr_to_slot(isa->nr_end - 1), -ENOENT);
	for (nr = isa->nr_end; nr < 0x20000; nr++)
		KUNIT_EXPECT_EQ(test, isa->nr_to_slot(nr), -ENOENT);
}

static void test_buckets(struct kunit *test)
{
	static const struct {
		u64 cycles;
		unsigned int bucket;
	} cases[] = {
		{ 0, 0 },
		{ 255, 0 },
		{ 256, 1 },
		{ 511, 1 },
		{ 512, 2 },
		{ (1ull << 30) - 1, 22 },
		{ 1ull << 30, 23 },
		{ S32_MAX, 23 },
	};
	int i;

	KUNIT_EXPECT_EQ(test, KVM_EXIT_BUCKETS, 24);
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		KUNIT_EXPECT_EQ(test, kvm_exit_bucket(cases[i].cycles),
				(unsigned long)cases[i].bucket);
}

/* The first VM-entry has no exit before it. */
static void test_first_entry(struct kunit *test)
{
	struct exit_stats_test *t = test->priv;

	vmentry(t->vcpu);
	KUNIT_EXPECT_EQ(test, sum(t->counts, 0, KVM_EXIT_COLUMNS - 1), 0ull);
	vmexit(t->vcpu, TEST_SLOT);
	KUNIT_EXPECT_EQ(test, t->counts->slots[KVM_EXIT_EXITS][TEST_SLOT], 1ull);
	KUNIT_EXPECT_GT(test, t->counts->guest_cycles, 0ull);
}

/* What is charged is the time that passed, to the cycle. */
static void test_phases(struct kunit *test)
{
	struct exit_stats_test *t = test->priv;
	u64 (*slots)[KVM_EXIT_SLOTS] = t->counts->slots;
	u64 begin;
	int i;

	vmentry(t->vcpu);
	begin = t->clock->stamp;
	for (i = 0; i < 100; i++) {
		vmexit(t->vcpu, i % 3);
		if (i % 2) {
			kvm_exit_wait_begin(t->vcpu);
			udelay(3);
			kvm_exit_preempt_begin(t->vcpu);
			udelay(2);
			kvm_exit_sched_in(t->vcpu);
			kvm_exit_wait_end(t->vcpu);
		}
		if (i % 5 == 1)
			user(t->vcpu, 1);
		vmentry(t->vcpu);
	}

	KUNIT_EXPECT_EQ(test, t->counts->guest_cycles +
			      sum(t->counts, KVM_EXIT_HANDLE, KVM_EXIT_PREEMPTED),
			t->clock->stamp - begin);
	KUNIT_EXPECT_EQ(test, sum(t->counts, 0, KVM_EXIT_EXITS), 100ull);
	KUNIT_EXPECT_GT(test, slots[KVM_EXIT_WAIT][0], 0ull);
	KUNIT_EXPECT_GT(test, slots[KVM_EXIT_PREEMPTED][0], 0ull);
	KUNIT_EXPECT_GT(test, slots[KVM_EXIT_USER][0], 0ull);
	KUNIT_EXPECT_EQ(test, t->counts->clamped, 0ull);

	if (!t->clock->hist)
		return;
	KUNIT_EXPECT_EQ(test, hist_sum(t->hist, KVM_EXIT_TIME_HANDLE), 100ull);
	KUNIT_EXPECT_EQ(test, hist_sum(t->hist, KVM_EXIT_TIME_TOTAL), 100ull);
}

/* A time that ends before it began is no time, and is counted. */
static void test_clamping(struct kunit *test)
{
	struct exit_stats_test *t = test->priv;

	vmentry(t->vcpu);
	t->clock->stamp += 1ull << 50;
	vmexit(t->vcpu, TEST_SLOT);
	KUNIT_EXPECT_EQ(test, t->counts->clamped, 1ull);
	KUNIT_EXPECT_EQ(test, t->counts->guest_cycles, 0ull);
	KUNIT_EXPECT_EQ(test, t->counts->slots[KVM_EXIT_EXITS][TEST_SLOT], 1ull);

	t->vcpu->wants_to_run = true;
	t->vcpu->arch.last_host_tsc = rdtsc() + (1ull << 50);
	kvm_exit_load(t->vcpu);
	KUNIT_EXPECT_EQ(test, t->counts->clamped, 2ull);
	KUNIT_EXPECT_EQ(test, t->counts->slots[KVM_EXIT_USER][TEST_SLOT], 0ull);

	vmentry(t->vcpu);
	KUNIT_EXPECT_EQ(test, t->counts->clamped, 2ull);
	vmexit(t->vcpu, TEST_SLOT);
	t->counts->slots[KVM_EXIT_HANDLE][TEST_SLOT] = 0;
	t->clock->stamp += 1ull << 50;
	vmentry(t->vcpu);
	KUNIT_EXPECT_EQ(test, t->counts->clamped, 3ull);
	KUNIT_EXPECT_EQ(test, t->counts->slots[KVM_EXIT_HANDLE][TEST_SLOT], 0ull);

	/* And it goes on as if nothing had been. */
	vmexit(t->vcpu, TEST_SLOT);
	vmentry(t->vcpu);
	KUNIT_EXPECT_EQ(test, t->counts->clamped, 3ull);
	KUNIT_EXPECT_GT(test, t->counts->slots[KVM_EXIT_HANDLE][TEST_SLOT], 0ull);
}

static void test_nested(struct kunit *test)
{
	struct exit_stats_test *t = test->priv;
	u64 (*slots)[KVM_EXIT_SLOTS] = t->counts->slots;
	u64 handle;

	vmentry(t->vcpu);
	vmexit(t->vcpu, TEST_SLOT);
	enter_guest_mode(t->vcpu);
	vmentry(t->vcpu);
	/* That was an exit of the guest's own. */
	handle = slots[KVM_EXIT_HANDLE][TEST_SLOT];
	KUNIT_EXPECT_GT(test, handle, 0ull);
	KUNIT_EXPECT_EQ(test, slots[KVM_EXIT_L2_HANDLE][TEST_SLOT], 0ull);

	vmexit(t->vcpu, TEST_SLOT);
	vmentry(t->vcpu);
	vmexit(t->vcpu, TEST_SLOT);
	/* The handler may leave the nested guest. */
	leave_guest_mode(t->vcpu);
	vmentry(t->vcpu);
	KUNIT_EXPECT_EQ(test, slots[KVM_EXIT_L2_EXITS][TEST_SLOT], 2ull);
	KUNIT_EXPECT_GT(test, slots[KVM_EXIT_L2_HANDLE][TEST_SLOT], 0ull);
	KUNIT_EXPECT_EQ(test, slots[KVM_EXIT_L2_HANDLE][TEST_SLOT] + handle,
			slots[KVM_EXIT_HANDLE][TEST_SLOT]);

	vmexit(t->vcpu, TEST_SLOT);
	vmentry(t->vcpu);
	KUNIT_EXPECT_EQ(test, slots[KVM_EXIT_EXITS][TEST_SLOT], 4ull);
	KUNIT_EXPECT_EQ(test, slots[KVM_EXIT_L2_EXITS][TEST_SLOT], 2ull);

	/* Switched on in a nested guest. */
	t->clock->stamp = KVM_EXIT_STAMP_SLOW;
	t->clock->running = false;
	enter_guest_mode(t->vcpu);
	vmentry(t->vcpu);
	vmexit(t->vcpu, TEST_SLOT);
	KUNIT_EXPECT_EQ(test, slots[KVM_EXIT_L2_EXITS][TEST_SLOT], 3ull);
}

/* Other ioctls than KVM_RUN load and put the vCPU, in the midst of a user phase. */
static void test_ioctl(struct kunit *test)
{
	struct exit_stats_test *t = test->priv;
	u64 (*slots)[KVM_EXIT_SLOTS] = t->counts->slots;
	u64 begin, cycles;

	vmentry(t->vcpu);
	vmexit(t->vcpu, TEST_SLOT);
	begin = rdtsc();
	t->vcpu->arch.last_host_tsc = begin;
	udelay(10);
	t->vcpu->wants_to_run = false;
	kvm_exit_load(t->vcpu);
	udelay(10);
	kvm_exit_preempt_begin(t->vcpu);
	udelay(10);
	kvm_exit_sched_in(t->vcpu);
	t->vcpu->arch.last_host_tsc = rdtsc();
	kvm_exit_load(t->vcpu);
	udelay(10);
	t->vcpu->arch.last_host_tsc = rdtsc();
	udelay(10);
	t->vcpu->wants_to_run = true;
	kvm_exit_load(t->vcpu);
	cycles = rdtsc() - begin;
	vmentry(t->vcpu);

	KUNIT_EXPECT_GT(test, slots[KVM_EXIT_PREEMPTED][TEST_SLOT], 0ull);
	cycles -= slots[KVM_EXIT_PREEMPTED][TEST_SLOT];
	KUNIT_EXPECT_LE(test, slots[KVM_EXIT_USER][TEST_SLOT], cycles);
	/* But for what is on the way to kvm_exit_load()'s reading of the TSC. */
	KUNIT_EXPECT_GT(test, slots[KVM_EXIT_USER][TEST_SLOT], cycles / 2);
	KUNIT_EXPECT_EQ(test, t->counts->clamped, 0ull);

	/* And the next user phase is a usual one. */
	vmexit(t->vcpu, TEST_SLOT);
	cycles = slots[KVM_EXIT_USER][TEST_SLOT];
	user(t->vcpu, 1);
	KUNIT_EXPECT_GT(test, slots[KVM_EXIT_USER][TEST_SLOT], cycles);
	KUNIT_EXPECT_EQ(test, t->clock->user_mark, 0ull);
}

/* Whatever a vendor module hands over, no other memory is written. */
static void test_wild_slots(struct kunit *test)
{
	struct exit_stats_test *t = test->priv;

	vmentry(t->vcpu);
	vmexit(t->vcpu, KVM_EXIT_SLOTS);
	vmentry(t->vcpu);
	vmexit(t->vcpu, ~0u);
	vmentry(t->vcpu);
	KUNIT_EXPECT_EQ(test, t->counts->slots[KVM_EXIT_EXITS][KVM_EXIT_SLOT_OTHER],
			2ull);
	KUNIT_EXPECT_EQ(test, sum(t->counts, 0, KVM_EXIT_EXITS), 2ull);
}

/* An exit stands where its total time puts it, and once. */
static void test_divided(struct kunit *test)
{
	struct exit_stats_test *t = test->priv;
	u64 total, handle, lost;
	int row, i, n;

	if (!t->clock->hist) {
		kunit_skip(test, "there are no histograms");
		return;
	}

	vmentry(t->vcpu);
	/* The first is the longest so far; the others are usual ones. */
	for (n = 0; n < 20; n++) {
		vmexit(t->vcpu, TEST_SLOT);
		user(t->vcpu, n ? 20 : 100);
		vmentry(t->vcpu);
		KUNIT_EXPECT_EQ(test, t->clock->lost, 0ull);
	}
	KUNIT_EXPECT_EQ(test, hist_sum(t->hist, KVM_EXIT_TIME_HANDLE), 20ull);
	KUNIT_EXPECT_EQ(test, hist_sum(t->hist, KVM_EXIT_TIME_TOTAL), 20ull);

	/* Whatever the buckets are: no total is shorter than its handle time. */
	for (total = 0, handle = 0, i = ARRAY_SIZE(t->hist->handle) - 1; i >= 0; i--) {
		handle += t->hist->handle[i];
		total += t->hist->handle[i] + t->hist->to_total[i];
		KUNIT_EXPECT_LE(test, handle, total);
		KUNIT_EXPECT_LE(test, total, 20ull);
	}
	lost = t->counts->slots[KVM_EXIT_USER][TEST_SLOT];
	KUNIT_EXPECT_GT(test, lost, t->counts->slots[KVM_EXIT_HANDLE][TEST_SLOT]);
	row = kvm_exit_hist_base[TEST_SLOT] / KVM_EXIT_BUCKETS;
	KUNIT_EXPECT_GT(test, t->hist->max[KVM_EXIT_TIME_TOTAL][row],
			t->hist->max[KVM_EXIT_TIME_HANDLE][row]);
}

/* A nested guest's exits take nobody's row away, and later ones get theirs. */
static void test_nested_rows(struct kunit *test)
{
	const struct kvm_exit_isa *isa = kvm_exit_isa();
	struct exit_stats_test *t = test->priv;
	unsigned int slot, last = 0, seen = 0, before = 0, after = 0;
	u32 nr;

	if (!t->clock->hist || !isa) {
		kunit_skip(test, "there are no histograms");
		return;
	}

	vmentry(t->vcpu);
	vmexit(t->vcpu, TEST_SLOT);
	enter_guest_mode(t->vcpu);
	kvm_exit_enter_guest_mode(t->vcpu);
	vmentry(t->vcpu);
	for (slot = 0; slot < KVM_EXIT_SLOT_OTHER; slot++) {
		if (isa->slot_to_nr(slot, &nr))
			continue;
		seen++;
		before += !kvm_exit_hist_base[slot];
		vmexit(t->vcpu, slot);
		vmentry(t->vcpu);
		after += !kvm_exit_hist_base[slot];
		if (!kvm_exit_hist_base[slot])
			last = slot;
	}
	/* On a host that has seen little, more than there are rows. */
	KUNIT_EXPECT_GT(test, before, 40u);
	KUNIT_EXPECT_EQ(test, after, before);
	/* They are not lost. */
	KUNIT_EXPECT_LE(test, (u64)seen,
			hist_sum(t->hist, KVM_EXIT_TIME_HANDLE));

	/* The first exit of such a reason that is not nested. */
	vmexit(t->vcpu, last);
	leave_guest_mode(t->vcpu);
	vmentry(t->vcpu);
	vmexit(t->vcpu, last);
	vmentry(t->vcpu);
	KUNIT_EXPECT_GT(test, kvm_exit_hist_base[last], 0);
}

/* A vCPU that is in userspace while it is switched off and on. */
static void test_stopped(struct kunit *test)
{
	struct exit_stats_test *t = test->priv;

	vmentry(t->vcpu);
	vmexit(t->vcpu, TEST_SLOT);
	t->clock->stamp = KVM_EXIT_STAMP_SLOW;
	t->clock->running = false;
	user(t->vcpu, 1);
	KUNIT_EXPECT_EQ(test, t->counts->slots[KVM_EXIT_USER][TEST_SLOT], 0ull);
	/* As kvm_exit_load() may do, if it is interrupted in its middle. */
	t->clock->stamp += 1000;
	t->clock->lost += 1000;
	vmentry(t->vcpu);
	KUNIT_EXPECT_EQ(test, sum(t->counts, KVM_EXIT_HANDLE, KVM_EXIT_PREEMPTED), 0ull);
	KUNIT_EXPECT_EQ(test, t->clock->lost, 0ull);
	vmexit(t->vcpu, TEST_SLOT);
	vmentry(t->vcpu);
	KUNIT_EXPECT_GT(test, t->counts->slots[KVM_EXIT_HANDLE][TEST_SLOT], 0ull);
}

static void test_halves(struct kunit *test)
{
	struct exit_stats_test *t = test->priv;
	u64 *exits = &t->counts->slots[KVM_EXIT_EXITS][TEST_SLOT];

	*exits = U32_MAX;
	vmexit(t->vcpu, TEST_SLOT);
	KUNIT_EXPECT_EQ(test, *exits, 1ull << 32);
	*exits = U64_MAX;
	vmexit(t->vcpu, TEST_SLOT);
	KUNIT_EXPECT_EQ(test, *exits, 0ull);
}

static struct kunit_case exit_stats_test_cases[] = {
	KUNIT_CASE(test_slots),
	KUNIT_CASE(test_buckets),
	KUNIT_CASE(test_first_entry),
	KUNIT_CASE(test_phases),
	KUNIT_CASE(test_clamping),
	KUNIT_CASE(test_nested),
	KUNIT_CASE(test_ioctl),
	KUNIT_CASE(test_wild_slots),
	KUNIT_CASE(test_divided),
	KUNIT_CASE(test_nested_rows),
	KUNIT_CASE(test_stopped),
	KUNIT_CASE(test_halves),
	{}
};

static struct kunit_suite exit_stats_test_suite = {
	.name = "kvm-exit-stats",
	.init = exit_stats_test_init,
	.test_cases = exit_stats_test_cases,
};

kunit_test_suite(exit_stats_test_suite);

MODULE_DESCRIPTION("KUnit tests of KVM's exit accounting");
MODULE_LICENSE("GPL");
