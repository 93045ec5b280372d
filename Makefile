# exitstat: exit accounting for Linux KVM

B := $(CURDIR)/build
KVERSION := 6.12
HOST_PACKAGES := $(shell awk '$$1 == "host" { print $$2 }' packages.txt)
KREL ?= 6.12.117+deb12-cloud-amd64
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

help:
	@echo "make series  write the complete patch series to build/series/$(KVERSION)"
	@echo "make modules build kvm.ko, kvm-intel.ko and kvm-amd.ko for Debian's kernel"
	@echo "             \$$(KREL), here $(KREL), to build/modules/\$$(KREL)"
	@echo "make check   run the tests (installs Debian packages, named first)"
	@echo "make clean   remove build/"

packages:
	@missing=$$(for p in $(HOST_PACKAGES); do \
		dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null | \
			grep -qx installed || echo $$p; done); \
	if [ -n "$$missing" ]; then \
		echo "Installing Debian packages:" $$missing; \
		$(SUDO) apt-get update -q && \
		$(SUDO) apt-get install -y -q --no-install-recommends $$missing; \
	fi

series:
	kernel/make-series $(KVERSION) $(B)/series/$(KVERSION)

source: packages
	kernel/fetch-source $(B)/linux-$(KVERSION)

modules: series source
	kernel/build-modules $(KREL) $(B)/linux-$(KVERSION) $(B)/series/$(KVERSION) $(B)/modules

check: modules
	KREL=$(KREL) /usr/bin/python3 -m pytest -p no:cacheprovider tests

clean:
	rm -rf $(B)

.PHONY: help packages series source modules check clean
