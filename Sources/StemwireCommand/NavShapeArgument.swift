import ArgumentParser

/// A scan's shape on the command line: `--nav-shape Y X`, slow axis first, at most two −1 as placeholders.
struct NavShapeArgument: ExpressibleByArgument {
    let lengths: [Int]

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
        guard !parts.isEmpty, !parts.contains(nil) else { return nil }
        lengths = parts.compactMap { $0 }
    }

    /// Makes one value of the numbers behind `--nav-shape`, since -1 would be taken for an option and a path behind
    /// the numbers for another number.
    static func joined(_ arguments: [String]) -> [String] {
        var result: [String] = []
        var index = arguments.startIndex
        while index < arguments.endIndex {
            let argument = arguments[index]
            index += 1
            let numbers = arguments[index...].prefix { Int($0) != nil }
            if argument == "--nav-shape", !numbers.isEmpty {
                result.append("--nav-shape=" + numbers.joined(separator: ","))
                index += numbers.count
            } else {
                result.append(argument)
            }
        }
        return result
    }

    static let help = ArgumentHelp(
        "Shape of the scan, slow axis first; -1 for a length to be worked out. Default: what the detector tells.",
        valueName: "Y X")
}
