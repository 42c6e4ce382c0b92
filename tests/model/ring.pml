/* SPDX-License-Identifier: ISC */
/*
 * src/transports/ring.c without the bytes: how its two sides put each other to
 * sleep and wake each other, and how a ring is closed; for spin. A writer sends
 * N bytes through a ring of SIZE and closes; a reader reads until the end, or
 * goes away at any time. Each sleeps when it finds nothing to do.
 *
 * Memory is x86's (TSO): a store goes into a buffer of its processor, and into
 * memory at some time later, in order; a load sees memory at once; a locked
 * instruction waits until the buffer is empty. No process loads what it has in
 * its own buffer. An event channel is one pending flag; to raise it is a system
 * call or a hypercall, and as good as a locked instruction.
 *
 * What must hold, for each order of events: no byte is lost or read too early
 * (assertions), and all comes to its end, that is, nobody sleeps for ever
 * (no invalid end states).
 *
 * Each of these makes the protocol faulty, and must be found so:
 *   -DPUBLISH_WITHOUT_BARRIER  between the index and looking at notify bits
 *   -DARM_WITHOUT_BARRIER      between the notify bit and looking at the index
 *   -DEARLY_IS_ENOUGH          no barrier for an index that is stored already
 *   -DCHECK_BEFORE_BIT         does not look again once the bit is set
 *   -DEMPTY_BEFORE_LIVE        looks for bytes, and then whether there is an end
 *   -DGONE_BEFORE_BYTES        says that it is gone, and then shows the rest
 *   -DCLOSE_WITHOUT_WAKING     a peer asleep is not told
 */

#define N 5
#define SIZE 2

/* What a store in a buffer is for. */
#define PROD 0
#define CONS 1
#define LIVE_W 2
#define LIVE_R 3
#define BIT_W 4
#define BIT_R 5
#define DATA 6 /* and the next */

/* Shared memory. */
byte prod, cons;
bool live_w = true, live_r = true;
bool bit_w;         /* the writer wants to hear of room */
bool bit_r = true;  /* the reader wants to hear of bytes */
byte data[SIZE];

/* Event channels. */
bool event_w, event_r;

chan buffer_w = [3] of { byte, byte };
chan buffer_r = [3] of { byte, byte };

proctype drain(chan buffer)
{
    byte what, value;

end:
    do
    :: atomic {
           buffer?what, value;
           if
           :: what == PROD -> prod = value
           :: what == CONS -> cons = value
           :: what == LIVE_W -> live_w = value
           :: what == LIVE_R -> live_r = value
           :: what == BIT_W -> bit_w = value
           :: what == BIT_R -> bit_r = value
           :: else -> data[what - DATA] = value
           fi;
           what = 0;
           value = 0
       }
    od
}

/* A locked instruction, which waits for its processor's buffer. */
#define LOCKED(buffer, effect) atomic { empty(buffer); effect }

/* Shows the index, and wakes the other side if it wants that. */
inline publish(buffer, index, at, shown, due, asked, event)
{
    if
    :: due ->
       due = false;
#ifdef EARLY_IS_ENOUGH
       if
       :: shown != at ->
          shown = at;
          buffer!index, at;
          empty(buffer)
       :: else
       fi;
#else
       shown = at;
       buffer!index, at;
#ifndef PUBLISH_WITHOUT_BARRIER
       empty(buffer);
#endif
#endif
       if
       :: asked ->
          LOCKED(buffer, asked = false);
          LOCKED(buffer, event = true)
       :: else
       fi
    :: !due
    fi
}

inline set_bit(buffer, asked, number)
{
#ifdef ARM_WITHOUT_BARRIER
    buffer!number, true
#else
    if
    :: asked
    :: else -> LOCKED(buffer, asked = true)
    fi
#endif
}

inline clear_bit(buffer, asked)
{
    if
    :: asked -> LOCKED(buffer, asked = false)
    :: else
    fi
}

/* To sleep is to wait for the event; some then take back their bit. */
inline sleep(buffer, asked, event)
{
    atomic {
        event;
        event = false
    };
    if
    :: clear_bit(buffer, asked)
    :: skip
    fi
}

inline close(buffer, index, at, live, event)
{
#ifdef GONE_BEFORE_BYTES
    buffer!live, false;
    buffer!index, at;
#else
    buffer!index, at;
    buffer!live, false;
#endif
    empty(buffer);
#ifndef CLOSE_WITHOUT_WAKING
    LOCKED(buffer, event = true)
#endif
}

/* ---- writer ---- */

#define ROOM (SIZE - (at - seen) > 0)

inline look_at_reader()
{
    gone = !live_r;
    d_step {
        seen = cons;
        assert(seen <= shown)
    }
}

proctype writer()
{
    byte at, shown, seen;
    bool due, gone;

    do
    :: at < N && !gone && ROOM ->
       buffer_w!DATA + at % SIZE, at;
       at++;
       due = true;
       if
       :: buffer_w!PROD, at; /* an eighth */
          shown = at
       :: skip
       fi;
       if
       :: publish(buffer_w, PROD, at, shown, due, bit_r, event_r)
       :: skip
       fi
    :: at < N && !gone && !ROOM ->
       look_at_reader();
       if
       :: gone || ROOM
       :: else ->
          publish(buffer_w, PROD, at, shown, due, bit_r, event_r);
#ifdef CHECK_BEFORE_BIT
          look_at_reader();
          set_bit(buffer_w, bit_w, BIT_W);
#else
          set_bit(buffer_w, bit_w, BIT_W);
          look_at_reader();
#endif
          if
          :: gone || ROOM -> clear_bit(buffer_w, bit_w)
          :: else -> sleep(buffer_w, bit_w, event_w)
          fi
       fi
    :: at == N || gone -> break
    od;
    close(buffer_w, PROD, at, LIVE_W, event_r)
}

/* ---- reader ---- */

#define READY (seen - at > 0)

inline look_at_writer()
{
#ifdef EMPTY_BEFORE_LIVE
    seen = prod;
    gone = !live_w
#else
    gone = !live_w;
    seen = prod
#endif
}

proctype reader()
{
    byte at, shown, seen;
    bool due, gone;

    do
    :: READY ->
       assert(data[at % SIZE] == at);
       at++;
       due = true;
       if
       :: buffer_r!CONS, at;
          shown = at
       :: skip
       fi;
       if
       :: publish(buffer_r, CONS, at, shown, due, bit_w, event_w)
       :: skip
       fi
    :: !READY && gone ->
       assert(at == N);
       break
    :: !READY && !gone ->
       look_at_writer();
       if
       :: gone || READY
       :: else ->
          publish(buffer_r, CONS, at, shown, due, bit_w, event_w);
#ifdef CHECK_BEFORE_BIT
          look_at_writer();
          set_bit(buffer_r, bit_r, BIT_R);
#else
          set_bit(buffer_r, bit_r, BIT_R);
          look_at_writer();
#endif
          if
          :: gone || READY -> clear_bit(buffer_r, bit_r)
          :: else -> sleep(buffer_r, bit_r, event_r)
          fi
       fi
    :: break /* goes away, whatever is left */
    od;
    close(buffer_r, CONS, at, LIVE_R, event_w)
}

init {
    atomic {
        run drain(buffer_w);
        run drain(buffer_r);
        run writer();
        run reader()
    }
}
