import CLibzmq

/// The libzmq that the program runs with.
public enum ZMQLibrary {
    /// A version of libzmq; newer compares greater.
    public struct Version: Sendable, Hashable, Comparable, CustomStringConvertible {
        public let major: Int
        public let minor: Int
        public let patch: Int

        public init(_ major: Int, _ minor: Int, _ patch: Int) {
            self.major = major
            self.minor = minor
            self.patch = patch
        }

        public static func < (a: Version, b: Version) -> Bool {
            (a.major, a.minor, a.patch) < (b.major, b.minor, b.patch)
        }

        public var description: String { "\(major).\(minor).\(patch)" }
    }

    /// What a build of libzmq can have or lack.
    public enum Capability: String, Sendable, CaseIterable {
        case ipc, curve, draft
    }

    /// The oldest version that is not open to unauthenticated attacks on its public ports (CVE-2020-15166,
    /// GHSA-fc3w-qxf5-7hp6 and others, all mended in 4.3.3).
    public static let minimumVersion = Version(4, 3, 3)

    /// The version of the library that is loaded, not of the header that was compiled against.
    public static var version: Version {
        var (major, minor, patch): (Int32, Int32, Int32) = (0, 0, 0)
        zmq_version(&major, &minor, &patch)
        return Version(Int(major), Int(minor), Int(patch))
    }

    /// Whether the loaded library was built with `capability`.
    public static func has(_ capability: Capability) -> Bool {
        zmq_has(capability.rawValue) == 1
    }

    /// Refuses a libzmq below ``minimumVersion``. Every ``Context`` asks this when it is made.
    ///
    /// - Throws: `ZMQError` with code ``ZMQError/Code/unsupportedLibrary``.
    public static func requireSupported(_ version: Version = ZMQLibrary.version) throws(ZMQError) {
        guard version >= minimumVersion else {
            throw ZMQError(.unsupportedLibrary, "load libzmq", subject: "\(version)")
        }
    }
}
