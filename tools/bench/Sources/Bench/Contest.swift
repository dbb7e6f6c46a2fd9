/// Things that are run in turn, A B C A B C, so that what else the machine does hits all of them alike.
struct Contest {
    struct Contender {
        let name: String
        /// Runs once. Returns units of work a second.
        let run: () async throws -> Double
    }

    /// What each contender reached in each round.
    struct Results {
        let names: [String]
        let rates: [[Double]]

        subscript(name: String) -> [Double] { names.firstIndex(of: name).map { rates[$0] } ?? [] }

        /// The one of `candidates` with the highest median.
        func best(of candidates: [String]) -> String {
            candidates.max { self[$0].median < self[$1].median } ?? ""
        }

        /// Round by round, how one did by the measure of another.
        func ratios(of name: String, to base: String) -> [Double] { zip(self[name], self[base]).map { $0 / $1 } }
    }

    var contenders: [Contender] = []

    mutating func add(_ name: String, _ run: @escaping () async throws -> Double) {
        contenders.append(Contender(name: name, run: run))
    }

    /// - Parameter rounds: how many count; one before them does not.
    func run(rounds: Int) async throws -> Results {
        var rates = contenders.map { _ in [Double]() }
        for round in 0...rounds {
            for (index, contender) in contenders.enumerated() {
                let rate = try await contender.run()
                if round > 0 { rates[index].append(rate) }
            }
        }
        return Results(names: contenders.map(\.name), rates: rates)
    }
}

extension Double {
    /// Such as `25,300 fps`.
    var framesPerSecond: String { "\(Int(self).grouped) fps" }
}

extension Int {
    var grouped: String {
        var text = ""
        for (index, digit) in String(self).reversed().enumerated() {
            if index > 0, index % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return String(text.reversed())
    }
}
