import CStemwireKernels
import Glibc

/// A level of the processor's instruction set for which the kernels are compiled.
///
/// The highest that the processor runs is used, unless the environment variable `STEMWIRE_KERNELS` names one. Results
/// do not depend on it: all kernels are exact.
public enum InstructionSet: String, Sendable, Hashable, CaseIterable {
    /// What every machine has: SSE2 on x86-64, NEON on arm64.
    case base
    /// x86-64-v3: AVX2.
    case v3
    /// x86-64-v4: AVX-512.
    case v4

    /// The name of the environment variable that forces a level.
    public static let environmentVariable = "STEMWIRE_KERNELS"

    /// The levels that this processor runs, lowest first.
    public static let supported: [InstructionSet] = allCases.filter { $0.table != nil }

    /// The level that kernels use unless told otherwise.
    ///
    /// When the environment variable cannot be obeyed, this is the highest supported level; programs find that out
    /// from ``checkEnvironment()``.
    public static let current: InstructionSet = (try? fromEnvironment.get()) ?? supported.last ?? .base

    /// Throws when `STEMWIRE_KERNELS` is set to something that is not a level, or not one that this processor runs.
    /// Programs call this once at the start.
    public static func checkEnvironment() throws(InstructionSetError) {
        _ = try fromEnvironment.get()
    }

    /// The level for a value of the environment variable; nil or empty stands for the highest supported one.
    public static func select(_ value: String?) throws(InstructionSetError) -> InstructionSet {
        guard let value, !value.isEmpty else { return supported.last ?? .base }
        guard let level = InstructionSet(rawValue: value) else { throw .unknown(value) }
        guard level.table != nil else { throw .unsupported(level) }
        return level
    }

    private static let fromEnvironment: Result<InstructionSet, InstructionSetError> = Result {
        () throws(InstructionSetError) in
        try select(getenv(environmentVariable).map { String(cString: $0) })
    }

    /// The kernels of this level; nil when the processor does not run them.
    var table: UnsafePointer<swk_kernels>? {
        switch self {
        case .base: swk_kernels_for(SWK_BASE)
        case .v3: swk_kernels_for(SWK_X86_64_V3)
        case .v4: swk_kernels_for(SWK_X86_64_V4)
        }
    }
}

/// Why the level that `STEMWIRE_KERNELS` asks for is not used.
public enum InstructionSetError: Error, Sendable, Hashable, CustomStringConvertible {
    case unknown(String)
    case unsupported(InstructionSet)

    public var description: String {
        let levels = InstructionSet.supported.map(\.rawValue).joined(separator: ", ")
        return switch self {
        case .unknown(let value):
            """
            \(InstructionSet.environmentVariable)=\(value) is not an instruction set level; this processor has: \
            \(levels)
            """
        case .unsupported(let level):
            """
            \(InstructionSet.environmentVariable)=\(level.rawValue) asks for instructions that this processor does not \
            have; it has: \(levels)
            """
        }
    }
}
