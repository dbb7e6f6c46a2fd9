import CBench
import Logging

/// Measures what the ground floor must reach, each figure as a ratio to plain C in the same run.
@main
struct Bench {
    static let usage = """
        usage: tools/bench/run [--pairs N] [receive] [formats] [tiles] [memory] [allocations] [simulator] [latency] [kernels] [dispatch]
                               [scaling] [work] [subscribers] [spool] [alternatives]
        Without names, all are run. Absolute figures do not travel to another machine, ratios do.
        """

    static func main() async {
        LoggingSystem.bootstrap { _ in SwiftLogNoOpLogHandler() }
        var words = Array(CommandLine.arguments.dropFirst())
        do {
            if let role = words.first.flatMap({ ChildRole(rawValue: $0) }) {
                try await role.play(Array(words.dropFirst()))
                return
            }
            var pairs = 7
            if let index = words.firstIndex(of: "--pairs"), index + 1 < words.count, let number = Int(words[index + 1])
            {
                pairs = max(1, number)
                words.removeSubrange(index...index + 1)
            }
            let names = Set(words)
            guard names.isSubset(of: Benchmark.allCases.map(\.rawValue)) else { throw BenchFailure(usage) }
            Console.exit(3, after: 1200, "the benchmarks hang: no end within twenty minutes")
            try await run(Benchmark.allCases.filter { names.isEmpty || names.contains($0.rawValue) }, pairs: pairs)
        } catch {
            Console.error("\(error)")
            Console.exit(1)
        }
    }

    private static func run(_ benchmarks: [Benchmark], pairs: Int) async throws {
        var rows: [Row] = []
        for benchmark in benchmarks {
            Console.error("\(benchmark.rawValue) …")
            rows += try await benchmark.run(pairs: pairs)
        }
        Table(rows: rows).print()
    }
}

/// The groups of figures that can be asked for.
enum Benchmark: String, CaseIterable {
    case receive, formats, tiles, memory, allocations, simulator, latency, kernels, dispatch, scaling, work, subscribers
    case spool, alternatives

    /// - Parameter pairs: how often the things compared are run, in turn.
    func run(pairs: Int) async throws -> [Row] {
        switch self {
        case .receive: try await ReceiveBenchmark(format: .u16).run(pairs: pairs)
        case .formats: try await ReceiveBenchmark.otherFormats(pairs: max(3, pairs / 2))
        case .tiles: try await TileBenchmark().run(pairs: pairs)
        case .memory: try await MemoryBenchmark.run()
        case .allocations: try await AllocationBenchmark.run()
        case .dispatch: DispatchBenchmark.run(pairs: pairs)
        case .kernels: try await KernelBenchmark.run(pairs: pairs)
        case .latency: try await LatencyBenchmark.run()
        case .scaling: try await ScalingBenchmark.run(pairs: max(3, pairs / 2))
        case .work: try await WorkBenchmark.run(pairs: pairs)
        case .subscribers: try await SubscriberBenchmark.run(pairs: max(3, pairs / 2))
        case .spool: try await SpoolBenchmark.run()
        case .alternatives: try AlternativesBenchmark.run(pairs: pairs)
        case .simulator: try await SimulatorBenchmark.run(pairs: pairs)
        }
    }
}

/// Why nothing can be measured.
struct BenchFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
