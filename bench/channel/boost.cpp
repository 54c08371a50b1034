// SPDX-License-Identifier: Apache-2.0
// Boost's message_queue, as a transport of carry.h.
#include <boost/interprocess/ipc/message_queue.hpp>

#include <cstdlib>

#include "carry.h"

namespace ipc = boost::interprocess;

namespace {

std::size_t slots(std::size_t bytes)
{
	return bytes <= 256 ? 1024 : bytes <= 65536 ? 64 : 16;
}

void make(route *r)
{
	r->peer = new ipc::message_queue(ipc::create_only, r->name, slots(r->bytes), r->bytes);
}

void nothing(route *)
{
}

void write(route *r, std::uint64_t count)
{
	auto *q = static_cast<ipc::message_queue *>(r->peer);
	void *bytes = std::aligned_alloc(4096, (r->bytes + 4095) / 4096 * 4096);

	for (std::uint64_t i = 0; i < count; i++) {
		fill_words(bytes, r->bytes, i);
		q->send(bytes, r->bytes, 0);
	}
	std::free(bytes);
}

std::uint64_t read(route *r, std::uint64_t count)
{
	auto *q = static_cast<ipc::message_queue *>(r->peer);
	void *bytes = std::aligned_alloc(4096, (r->bytes + 4095) / 4096 * 4096);
	std::uint64_t sum = 0;

	for (std::uint64_t i = 0; i < count; i++) {
		std::size_t got;
		unsigned int priority;

		q->receive(bytes, r->bytes, got, priority);
		fail_if(got != r->bytes, "boost");
		sum += sum_words(bytes, r->bytes);
	}
	std::free(bytes);
	return sum;
}

void done(route *r)
{
	delete static_cast<ipc::message_queue *>(r->peer);
	ipc::message_queue::remove(r->name);
}

} // namespace

extern "C" const transport by_boost = { "boost", make, nothing, nothing, write, read, nothing, nullptr, done };
