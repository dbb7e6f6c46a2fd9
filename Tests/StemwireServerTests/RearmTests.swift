import Foundation
import MerlinSimulator
import StemwireClient
import StemwireSystem
import StemwireTestSupport
import Testing

extension ServerTests {
    @Suite("Arm, abort, arm again") struct Rearm {
        /// 1,000 before a release: STEMWIRE_REARM_CYCLES.
        static let cycles = ProcessInfo.processInfo.environment["STEMWIRE_REARM_CYCLES"].flatMap { Int($0) } ?? 40
        static let seed = ProcessInfo.processInfo.environment["STEMWIRE_REARM_SEED"].flatMap { UInt64($0) } ?? 5

        static var descriptors: Int {
            (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
        }

        static var residentKilobytes: Int {
            let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
            let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
            return Int(line.filter(\.isNumber)) ?? 0
        }

        @Test("with random timing: no frame of one acquisition in another, nothing grows, nothing has to be restarted")
        func cycles() async throws {
            try await Bench.run(simulator: { $0.dwellMicroseconds = 150 }) { bench in
                let pattern = try bench.pattern
                let client = try await bench.connect()
                let stream = client.tiles(options: .init(repair: true))
                try await stream.subscribed()
                // An abort may come before the detector has begun: how many acquisitions there will be is known at the end.
                let before = Locked(UInt64.max)
                let follower = Task { try await Self.follow(stream, pattern, until: before) }
                var dice = SeededGenerator(seed: Self.seed)
                var aborted = 0
                var usage = (descriptors: 0, kilobytes: 0)
                for cycle in 0..<Self.cycles {
                    // Everything that is made once has been made by then.
                    if cycle == Self.cycles / 4 { usage = (Self.descriptors, Self.residentKilobytes) }
                    if cycle == Self.cycles - 1 {
                        before.value = try await client.status().previousAcquisition.generation
                    }
                    let isWhole = cycle % 8 == 7 || cycle == Self.cycles - 1
                    try await client.arm(trigger: .soft)
                    if isWhole || Bool.random(using: &dice) {
                        try await Self.pause(0...2, &dice)
                        try await client.trigger()
                    }
                    if isWhole {
                        let end = try await client.waitForEnd(deadline: .seconds(20))
                        #expect(end.endReason == "complete" && end.accounting.placed == 64, "cycle \(cycle)")
                        #expect(end.accounting.strays == 0 && end.accounting.duplicates == 0, "cycle \(cycle)")
                    } else {
                        try await Self.pause(0...12, &dice)
                        let done = try await client.abort()
                        #expect(done.stateAfter == .idle, "cycle \(cycle)")
                        if done.endReason == "aborted" { aborted += 1 }
                    }
                }
                #expect(aborted > 0)
                #expect(Self.descriptors <= usage.descriptors + 2)
                #expect(Self.residentKilobytes - usage.kilobytes < 24 << 10)
                let seen = try await within("all acquisitions", for: follower)
                #expect(seen.allSatisfy { $0.value.misplaced == [] && $0.value.acquisitions.count <= 1 })
                // The detector's number is another one for each.
                let numbers = seen.values.flatMap(\.acquisitions)
                #expect(Set(numbers).count == numbers.count)
                #expect(seen.values.count { $0.frames.count == 64 && $0.end?.reason == .complete } >= Self.cycles / 8)
                #expect(try await client.status().detector.connections == 1)
                await client.close()
            }
        }

        private static func pause(_ milliseconds: ClosedRange<Int>, _ dice: inout SeededGenerator) async throws {
            try await Task.sleep(for: .microseconds(Int.random(in: 0...1000 * milliseconds.upperBound, using: &dice)))
        }

        /// What each acquisition brought, by generation, until one behind `last` has ended.
        private static func follow(
            _ stream: TileStream, _ pattern: SelfIdentifyingPattern, until last: Locked<UInt64>
        ) async throws -> [UInt64: Seen] {
            var seen: [UInt64: Seen] = [:]
            for try await event in stream {
                switch event {
                case .started(let start): seen[start.generation, default: Seen()].start = start
                case .tile(let tile): try seen[tile.generation, default: Seen()].take(tile, pattern)
                case .ended(let end):
                    seen[end.generation, default: Seen()].end = end
                    if end.generation > last.value { return seen }
                case .gap, .unavailable: break
                }
            }
            return seen
        }
    }
}
