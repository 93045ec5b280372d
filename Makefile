# exitstat: exit accounting for Linux KVM

B := $(CURDIR)/build
KERNELS := $(notdir $(patsubst %/,%,$(wildcard kernel/[0-9]*/)))
NEWEST := $(lastword $(shell printf '%s\n' $(KERNELS) | sort -V))
# OWN_KERNEL is set if no kernel of Debian's is used, but one that is built of its source: by
# default for those of backports, whose headers want a newer compiler than Debian 12 has.
ifdef KREL
KERNEL ?= $(shell expr $(KREL) : '\([0-9]*\.[0-9]*\)')
OWN_KERNEL := $(filter-out %-amd64,$(KREL))
endif
KERNEL ?= 6.12
OWN_KERNEL ?= $(findstring -backports,$(shell cat kernel/$(KERNEL)/suite 2>/dev/null))
# Asked when it is needed, and once: on a fresh machine apt knows nothing yet.
KREL ?= $(eval KREL := $(or $(shell kernel/default-release $(KERNEL)),$(error \
	no kernel to build for; name one with KREL=)))$(KREL)
# The source of a version, and what is built of it alone, is that of one Debian release.
SOURCE = $(KERNEL)$(findstring +deb12,$(KREL))$(findstring +deb13,$(KREL))
EMU ?= bochs
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
PYTHON := PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3
PYTEST := $(PYTHON) -m pytest -p no:cacheprovider
# Two kinds of machine are emulated, one by each, while what needs none runs beside.
WORKERS ?= $(shell n=$$(nproc); echo $$((n < 4 ? n : 4)))
PARALLEL = -n $(WORKERS) --dist loadgroup

help:
	@echo "make demo          boot a machine with VMX, a guest in it, and look at the guest's exits"
	@echo "make check         run all tests, on emulated machines too"
	@echo "make check-all     the machine's tests on all kernels, too: $(KERNELS)"
	@echo "make check-debug   the series under stress, on kernels that check memory, locks and races"
	@echo "make check-valgrind  what the tests with ASan see, once more with valgrind"
	@echo "make check-demo    all of make demo on Bochs, as a test"
	@echo "make check-packages  install the packages, and boot kernels for which DKMS built KVM"
	@echo "make check-series  build each patch by itself, with KVM_WERROR and W=1; REVISIONS=all the"
	@echo "                   series for each revision of the source that Debian has now"
	@echo "make bench         what accounting and the tool cost, and write Documentation/performance.md"
	@echo "make verify        compare the numbers with other tools', and write Documentation/verification.md"
	@echo "make fuzz          look for inputs that break exitstat; SECONDS=60 for each target"
	@echo "make study         record a guest's boot and loads, and write Documentation/study.md"
	@echo "make tools         build build/exitstat and, for guests, build/exitstat-static"
	@echo "make modules       build kvm.ko, kvm-intel.ko and kvm-amd.ko, to build/modules/\$$KREL/"
	@echo "make series        write the complete patch series, to build/series/$(KERNEL)/"
	@echo "make rfc           write the newest kernel's series as it would be posted, to build/rfc/"
	@echo "make apply         git am the series to a kernel tree, KERNEL_SRC=/path"
	@echo "make lab           build the emulated machine's images, below build/lab/"
	@echo "make deb           build Debian packages of all of it, to build/deb/"
	@echo "make install       install exitstat, its manual pages and units; PREFIX=/usr/local DESTDIR="
	@echo "make uninstall     take away what make install put there"
	@echo "make clean         remove build/"
	@echo
	@echo "KERNEL=6.12   the version of Linux: $(KERNELS)"
	@echo "KREL=RELEASE  a kernel of Debian 12 or 13; by default this machine's newest for clouds"
	@echo "EMU=bochs     emulator of the machine: bochs (VMX), qemu (SVM, slow CPU emulation)"
	@echo "              or kvm (what this machine offers; needs nested virtualization)"
	@echo
	@echo "What a target needs and this machine lacks is installed from Debian, and named first;"
	@echo "without apt it is named."

# The sections of packages.txt that a target needs: all of its own at once, before those on which
# it depends need some of them.
BPF ?= yes
NEEDS-install := exitstat $(if $(filter no,$(BPF)),,bpf)
NEEDS-tools := $(NEEDS-install) static
NEEDS-series := series
NEEDS-apply := series apply
NEEDS-modules := series modules $(if $(OWN_KERNEL),kernel)
NEEDS-rfc := $(NEEDS-modules) apply
NEEDS-debug := series modules kernel lab pytest
NEEDS-lab := $(NEEDS-tools) $(NEEDS-modules) lab
NEEDS-check := $(NEEDS-lab) pytest check deb
NEEDS-packages := $(NEEDS-lab) pytest deb chroot
NEEDS-valgrind := $(NEEDS-tools) pytest check
NEEDS-bench := $(NEEDS-lab) bench
NEEDS-study := $(NEEDS-lab) study
NEEDS-fuzz := exitstat fuzz
NEEDS-deb := deb

PACKAGES := $(patsubst NEEDS-%,packages-%,$(filter NEEDS-%,$(.VARIABLES)))
$(PACKAGES): packages-%:
	@./packages.sh $(NEEDS-$*)

# Not always the default one.
compiler: packages-modules
	@./packages.sh $(addprefix compiler/,$(shell kernel/compiler $(if $(REVISIONS),$$(kernel/revisions $(KERNEL) | \
		sed 's/.* //' | sort -t+ -k2 -u),$(KREL))))

$(B):
	@mkdir -p $@

series: packages-series
	@kernel/make-series $(KERNEL) $(B)/series/$(KERNEL)

rfc: packages-rfc
	@$(MAKE) -s source series KERNEL=$(NEWEST)
	@kernel/make-rfc $(NEWEST) $(B)/linux-$(NEWEST) $(B)/series/$(NEWEST) $(B)/rfc

apply: packages-apply series
	@test -n "$(KERNEL_SRC)" || { echo "make apply: name a git tree of Linux $(KERNEL) with KERNEL_SRC=/path" >&2; exit 1; }
	git -C "$(KERNEL_SRC)" am $$(kernel/patches $(B)/series/$(KERNEL) "$(KERNEL_SRC)")

source: packages-modules
	@kernel/fetch-source $(KREL) $(B)/linux-$(SOURCE)

# What modules are built for, if it is no kernel of Debian's.
own-kernel: source
	$(if $(OWN_KERNEL),@kernel/build-kernel $(KREL) $(B)/linux-$(SOURCE) $(B)/kernel/$(KREL) kernel/host.config)

BUILD_MODULES = $(if $(OWN_KERNEL),--kernel $(B)/kernel/$(KREL)) $(KREL) $(B)/linux-$(SOURCE) $(B)/series/$(KERNEL)

modules: packages-modules compiler series own-kernel
	@kernel/build-modules $(BUILD_MODULES) $(B)/modules

check-series: packages-modules compiler series $(if $(REVISIONS),,own-kernel)
	@$(if $(REVISIONS),kernel/check-revisions $(KERNEL) $(B)/series/$(KERNEL) $(B)/revisions $(REVISIONS), \
		kernel/build-modules --each-patch $(BUILD_MODULES) $(B)/check-series)

# Its makefile runs in another directory.
EXITSTAT = -C tools/exitstat O=$(B) BPF=$(BPF) $(foreach v,CHART_JS DESTDIR PREFIX SYSCONFDIR,$(if $($v),$v=$(abspath $($v))))

tools: packages-tools
	@$(MAKE) -s $(EXITSTAT) $(B)/exitstat $(B)/exitstat-static

# With sanitizers, and what else only tests run.
test-tools: packages-tools
	@$(MAKE) -s $(EXITSTAT) all test-programs

test-programs: source modules
	@$(MAKE) -s -C tests/vmm O=$(B)
	@tests/modules/build $(KREL) $(B)/modules $(B)/test-modules/$(KREL)
	@tests/build-selftests $(B)/linux-$(SOURCE) $(B)/series/$(KERNEL) $(B)/selftests/$(SOURCE)

lab: packages-lab modules tools test-programs
	@PYTHONPATH=tests $(PYTHON) -m lab.images $(KREL)

demo: | $(B)
	@bash -o pipefail -c '$(MAKE) -s --no-print-directory run-demo 2>&1 | tee -i $(B)/demo.log'

run-demo: lab
	@$(PYTHON) tests/demo.py $(EMU) $(KREL)

debug-kernels: packages-debug series
	@mkdir -p $(B)/debug
	@kernel/fetch-source --whole $(KREL) $(B)/debug/linux-$(KERNEL).orig
	@tests/debug/prepare-tree $(B)/debug/linux-$(KERNEL).orig $(B)/series/$(KERNEL) $(B)/debug/linux-$(KERNEL)
	@tests/debug/build-kernel kasan $(B)/debug/linux-$(KERNEL) $(B)/debug/kasan
	@tests/debug/build-kernel kcsan $(B)/debug/linux-$(KERNEL) $(B)/debug/kcsan

check-debug: debug-kernels
	@$(MAKE) -s -C tests/vmm O=$(B) stress
	@KREL=$(KREL) $(PYTEST) tests/debug/debug_kernels.py

check-packages: packages-packages lab
	@KREL=$(KREL) $(PYTEST) -v tests/packages/install.py tests/packages/dkms.py

check: packages-check lab test-tools
	@KREL=$(KREL) EMU=$(EMU) $(PYTEST) $(PARALLEL) -m "not valgrind and not whole_demo" --durations=25 -rs tests

check-valgrind: packages-valgrind test-tools
	@KREL=$(KREL) $(PYTEST) $(PARALLEL) -m valgrind tests

check-demo: packages-check lab
	@KREL=$(KREL) $(PYTEST) -m whole_demo tests/test_demo.py

# All tests on the default kernel; those of the series, the modules and the machine on the others.
KERNEL_TESTS := tests/test_series.py tests/test_modules.py tests/test_disassembly.py tests/test_machine_*.py
check-all: check
	@for kernel in $(filter-out $(KERNEL),$(KERNELS)); do \
		env -u KREL MAKEFLAGS= $(MAKE) -s check-kernel KERNEL=$$kernel EMU=$(EMU) || exit; \
	done

check-kernel: packages-check lab test-tools
	@KREL=$(KREL) EMU=$(EMU) $(PYTEST) $(PARALLEL) -rs $(KERNEL_TESTS)

bench: packages-bench lab
	@$(PYTHON) tests/bench/exitstat.py
	@KREL=$(KREL) $(PYTHON) tests/bench/cost.py
	@KREL=$(KREL) $(PYTHON) tests/bench/native.py
	@KREL=$(KREL) $(PYTHON) tests/bench/growth.py
	@$(PYTHON) tests/bench/performance.py

verify: lab
	@PYTHONPATH=tests KREL=$(KREL) $(PYTHON) -m verify $(KREL)

SECONDS ?= 60
fuzz: packages-fuzz
	@$(PYTHON) tests/fuzz/run.py --seconds $(SECONDS)

study: packages-study lab
	@PYTHONPATH=tests $(PYTHON) -m study $(KREL)

install: packages-install
	@$(MAKE) -s $(EXITSTAT) install

uninstall:
	@$(MAKE) -s $(EXITSTAT) uninstall

deb: packages-deb
	@debian/build-packages $(B)/deb

clean:
	rm -rf $(B)

# One after the other: what takes long uses all CPUs by itself.
.NOTPARALLEL:
.PHONY: help rfc compiler own-kernel check-all check-kernel check-valgrind check-demo check-packages $(PACKAGES) deb bench verify fuzz study debug-kernels check-debug series apply source modules check-series tools test-tools test-programs lab demo \
	run-demo check install uninstall clean
