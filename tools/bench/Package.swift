// swift-tools-version: 6.1
import PackageDescription

let package = Package(
    name: "stemwire-bench",
    products: [
        // To be loaded before the C library.
        .library(name: "AllocationCounter", type: .dynamic, targets: ["CAllocationCounter"])
    ],
    dependencies: [
        .package(name: "stemwire", path: "../.."),
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    ],
    targets: [
        // What Stemwire is compared with, and what feeds it: plain C.
        .executableTarget(name: "BenchPeer", linkerSettings: [.linkedLibrary("zmq")]),
        .target(name: "CBench", linkerSettings: [.linkedLibrary("zmq")]),
        .target(name: "CAllocationCounter"),
        .executableTarget(
            name: "Bench",
            dependencies: [
                "CBench",
                .product(name: "MerlinProtocol", package: "stemwire"),
                .product(name: "MerlinSimulator", package: "stemwire"),
                .product(name: "Stemwire", package: "stemwire"),
                .product(name: "StemwireAcquisition", package: "stemwire"),
                .product(name: "StemwireClient", package: "stemwire"),
                .product(name: "StemwireKernels", package: "stemwire"),
                .product(name: "StemwireProtocol", package: "stemwire"),
                .product(name: "StemwireServer", package: "stemwire"),
                .product(name: "StemwireSystem", package: "stemwire"),
                .product(name: "StemwireUDF", package: "stemwire"),
                .product(name: "StemwireWorker", package: "stemwire"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: [.enableUpcomingFeature("ExistentialAny")]),
    ]
)
